"""The protocol on a simulated lab, where the best LR and loss are known."""

import json
import math
from collections.abc import Sequence

import pytest

from lrladder.benchmark.lab.recorder import Recorder
from lrladder.benchmark.lab.simulated import SimulatedLab, TrueLaw, loss_floor
from lrladder.benchmark.ladder import Rung
from lrladder.benchmark.studies.regret.assembly import assemble
from lrladder.benchmark.studies.regret.config import RegretConfig, load_config
from lrladder.benchmark.studies.regret.middle import sweep_middle
from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.benchmark.studies.regret.scoring.oracle import Oracle, find_oracle
from lrladder.benchmark.studies.regret.study import RegretStudy
from lrladder.benchmark.studies.results import Found
from lrladder.benchmark.studies.runner import run_on
from lrladder.models.rules import MUTRANSFER
from lrladder.paradigms.lab import Lab, Measurement, ParametrizationName, Request
from lrladder.paradigms.paradigm import Proposal
from lrladder.paradigms.sweep.noise import Noise
from tests.paths import TWO_TARGETS

CONFIG = load_config(TWO_TARGETS)
LAW = TrueLaw(k=50.0, u=0.4, v=0.3, mup_base=CONFIG.base.shape.n_active, mup_tokens=CONFIG.base.tokens)


def simulate(config: RegretConfig = CONFIG, **options: float) -> SimulatedLab:
    return SimulatedLab(config.rungs, LAW, **options)  # type: ignore[arg-type]


def floor(rung: Rung, horizon: int) -> float:
    return loss_floor(rung.n_active, horizon)


class Log(SimulatedLab):
    """Remembers who asked for what."""

    asked: list[tuple[str, Request]]

    def measure(self, requests: Sequence[Request], *, payer: str) -> list[list[Measurement]]:
        self.asked = [*getattr(self, "asked", []), *((payer, request) for request in requests)]
        return super().measure(requests, payer=payer)


def test_without_noise_the_oracle_and_the_regret_are_exact() -> None:
    results = run_on(CONFIG, simulate(noise_sd=0.0))
    assert results.complete
    assert results.missing == ()
    for target in results.targets:
        rung = CONFIG.rungs.rung(target.rung)
        for name, oracle in target.oracle.items():
            assert oracle.status == "interior"
            assert oracle.lr == pytest.approx(LAW.lr(rung.n_active, target.tokens, name))  # type: ignore[arg-type]
            assert oracle.loss == pytest.approx(floor(rung, target.tokens))
        for paradigm in target.paradigms:
            assert paradigm.regret == pytest.approx(0, abs=1e-6)


def test_the_searches_see_no_target_and_everyone_pays() -> None:
    lab = Log(CONFIG.rungs, LAW)
    results = run_on(CONFIG, lab)
    targets = {rung.name for rung in CONFIG.rungs.targets}
    for payer, request in lab.asked:
        assert (request.rung in targets) == (payer not in CONFIG.entries)
        if request.rung in targets:
            assert request.seed in CONFIG.validation.seeds
    order = list(dict.fromkeys(payer for payer, _ in lab.asked))
    assert order == [*CONFIG.entries, "validation", "oracle-sp", "oracle-mup", "oracle-mup+power"]
    assert results.payers == {payer: lab.cost_flops(payer) for payer in order}
    for target in results.targets:
        for paradigm in target.paradigms:
            assert paradigm.cost_flops == lab.cost_flops(paradigm.name)
            assert paradigm.cost_fraction == pytest.approx(paradigm.cost_flops / target.run_flops)
    swept = math.fsum(target.oracle["sp"].cost_flops for target in results.targets)
    assert swept == pytest.approx(lab.cost_flops("oracle-sp"))


class Started(RegretStudy):
    """A study with a lab that remembers."""

    def __init__(self, config: RegretConfig, lab: Lab) -> None:
        self.recorder = Recorder(lab)
        super().__init__(config, self.recorder, lambda stage: None)

    def found(self) -> RegretResults:
        return self.results(Found(self.recorder.measurements))


def test_one_run_reads_all_horizons_that_share_a_proposal() -> None:
    data = CONFIG.model_dump()
    data["ladder"]["rungs"][-1]["horizons"] = (131072, 262144)
    lab = Log(RegretConfig.model_validate(data).rungs, LAW)
    study = Started(RegretConfig.model_validate(data), lab)
    lrs: dict[str, tuple[ParametrizationName, float]] = {
        "fitting": ("sp", 0.01),
        "mutransfer": ("mup", 0.02),
        "mutransfer+power": ("mup+power", 0.02),
    }
    study._search = lambda name: study.proposals.extend(  # type: ignore[method-assign]
        _proposal(name, lrs[name][0], rung, horizon, lrs[name][1])
        for rung in study.config.rungs.targets
        for horizon in rung.horizons
    )
    study.run()
    validation = [request for payer, request in lab.asked if payer == "validation"]
    assert {request.horizons for request in validation if request.rung == "t128x4"} == {(131072, 262144)}
    assert len(validation) == 2 * 3 * 2  # targets, paradigms, seeds
    assert study.found().complete


def _proposal(name: str, parametrization: ParametrizationName, rung: Rung, horizon: int, lr: float) -> Proposal:
    return Proposal(
        paradigm=name,
        parametrization=parametrization,
        rung=rung.name,
        horizon=horizon,
        lr=lr,
        lr_low=lr,
        lr_high=lr,
        extrapolation=1.0,
    )


def test_the_oracle_does_not_depend_on_where_it_starts() -> None:
    oracles = []
    for shift in (0.25, 1.0, 4.0):
        study = Started(CONFIG, simulate(noise_sd=0.0))
        rung = CONFIG.rungs.rung("t128x4")
        lr = shift * LAW.lr(rung.n_active, 262144, "sp")
        study.proposals.append(_proposal("fitting", "sp", rung, 262144, lr))
        study._sweep_oracle("sp", rung)
        oracles.append(study.found().targets[-1].oracle["sp"])
    assert [oracle.status for oracle in oracles] == ["interior"] * 3
    for oracle in oracles:
        assert oracle.lr == pytest.approx(oracles[0].lr)


def test_a_search_without_a_minimum_is_missing_and_not_a_crash() -> None:
    results = run_on(CONFIG, simulate(diverge_above=1e-9))
    assert not results.complete
    assert any("no proposal of fitting: fitting: no cell has a bracketed minimum" in line for line in results.missing)
    assert all(target.paradigms == () and target.winner is None for target in results.targets)
    conclusion = results.targets[0].conclusion
    assert conclusion.startswith("No proposal has been scored. The target has not been swept yet under sp, mup, ")
    assert results.trials.diverged > 0


class Interrupted(SimulatedLab):
    stop_at: str

    def measure(self, requests: Sequence[Request], *, payer: str) -> list[list[Measurement]]:
        if payer == self.stop_at:
            raise KeyboardInterrupt
        return super().measure(requests, payer=payer)


@pytest.mark.parametrize(
    ("stop_at", "expected"),
    [
        ("fitting", "no proposal of fitting: not made yet"),
        ("validation", "proposal of fitting trained with 0 of 2 seeds"),
        ("oracle-mup", "oracle of mup: 0 of 4 learning rates measured"),
    ],
)
def test_an_interrupted_study_reports_what_it_has(stop_at: str, expected: str) -> None:
    lab = Interrupted(CONFIG.rungs, LAW)
    lab.stop_at = stop_at
    study = Started(CONFIG, lab)
    with pytest.raises(KeyboardInterrupt):
        study.run()
    results = study.found()
    assert not results.complete
    assert f"t96x3 at 262,144 tokens: {expected}" in results.missing
    assert len(results.targets) == 2
    if stop_at == "oracle-mup":
        for target in results.targets:
            fitting, mutransfer, power = target.paradigms
            assert fitting.lr_regret is not None
            assert mutransfer.lr_regret is power.lr_regret is None


class Carried(Log):
    """A role's x2 is worth 0.1 nats."""

    def _read(self, request: Request, horizon: int) -> Measurement:
        found = super()._read(request, horizon)
        gain = 0.1 * sum(math.log2(factor) for _, factor in request.role_lrs)
        return found.model_copy(update={"loss": None if found.loss is None else found.loss - gain})


def with_mutransfer(horizons: Sequence[int] = (262144,), **changes: object) -> RegretConfig:
    data = CONFIG.model_dump()
    rules = changes.pop("rules", {})
    data["entries"]["mutransfer"] |= changes
    data["parametrizations"]["mup"]["rules"] |= rules
    data["ladder"]["rungs"][-1]["horizons"] = horizons
    return RegretConfig.model_validate(data)


def test_a_fitted_horizon_exponent_reaches_validation_oracle_and_recipe() -> None:
    config = with_mutransfer((262144, 1048576), rules={"horizon": "fitted"})
    lab = Carried(config.rungs, LAW, noise_sd=0.0)
    results = run_on(config, lab)
    assert results.complete
    for payer, request in lab.asked:
        searched = payer.startswith("mutransfer")
        expected = None if request.parametrization in ("sp", "mup+power") or searched else -LAW.v
        assert request.horizon_exponent == (expected if not expected else pytest.approx(expected, abs=1e-6))
    searched = {request.horizons for payer, request in lab.asked if payer == "mutransfer"}
    assert searched == {(131072, 262144)}
    for target in results.targets:
        found = next(p for p in target.paradigms if p.name == "mutransfer")
        assert found.lr_regret == pytest.approx(0, abs=1e-6)
        assert found.recipe is not None
        assert found.recipe.token_factor == pytest.approx((target.tokens / 262144) ** -LAW.v, rel=1e-5)


def test_rules_that_a_config_leaves_out_stay_on() -> None:
    data = CONFIG.model_dump()
    data["parametrizations"]["mup"]["rules"] = {"horizon": "none"}
    assert RegretConfig.model_validate(data).rules_of("mup") == MUTRANSFER.model_copy(update={"horizon": "none"})


def test_a_fixed_rule_searches_the_base_horizon_only() -> None:
    lab = Log(CONFIG.rungs, LAW)
    run_on(CONFIG, lab)
    assert {request.horizons for payer, request in lab.asked if payer == "mutransfer"} == {(262144,)}


def with_modules(**changes: object) -> RegretConfig:
    data = CONFIG.model_dump()
    roles = {"roles": ("router", "head"), "max_trials": 20} | changes
    data["entries"]["mutransfer+modules"] = data["entries"]["mutransfer"] | {"role_search": roles}
    return RegretConfig.model_validate(data)


def test_role_multipliers_are_validated_and_ablated_and_leave_all_else_alone() -> None:
    config = with_modules()
    lab = Carried(config.rungs, LAW, noise_sd=0.001)
    results = run_on(config, lab)
    multipliers = (("router", 2.0), ("head", 2.0))
    asked = {payer: {request.role_lrs for p, request in lab.asked if p == payer} for payer, _ in lab.asked}
    assert asked["validation"] == {(), multipliers}
    assert asked["oracle-mup"] == asked["mutransfer"] == {()}
    assert asked["ablation"] == {((role, factor),) for role in ("router", "head") for factor in (2.0, 0.5)}
    plain = run_on(CONFIG, Carried(CONFIG.rungs, LAW, noise_sd=0.001))
    assert [c.minimum for c in results.curves] == [c.minimum for c in plain.curves]
    for ours, without in zip(results.targets, plain.targets, strict=True):
        *others, found = ours.paradigms
        assert [p.model_copy(update={"regret_low": None, "regret_high": None}).loss for p in others] == [
            p.loss for p in without.paradigms
        ]
        assert found.role_lrs == multipliers
        assert found.loss == pytest.approx(others[1].loss - 0.2, abs=0.01)
        assert found.recipe is not None and others[1].recipe is not None
        router, unscaled = (next(s.lr for s in p.recipe.settings if s.kind == "router") for p in (found, others[1]))
        assert router == pytest.approx(2 * unscaled)
    assert results.payers["mutransfer+modules"] > results.payers["mutransfer"] == plain.payers["mutransfer"]


def test_the_ablation_recovers_what_each_role_is_worth() -> None:
    results = run_on(with_modules(), Carried(CONFIG.rungs, LAW, noise_sd=0.001))
    targets = [e for e in results.role_effects if e.rung.startswith("t") and not e.others]
    assert {(e.role, e.factor) for e in targets} == {(role, f) for role in ("router", "head") for f in (2.0, 0.5)}
    for effect in targets:
        assert effect.change == pytest.approx(-0.1 * math.log2(effect.factor), abs=0.01)
        assert effect.low is not None and effect.high is not None and effect.low < effect.change < effect.high
        assert effect.n_seeds == 2


def test_modules_that_change_nothing_take_no_win_away() -> None:
    config = with_modules(ablate=False)
    results, plain = (run_on(c, SimulatedLab(CONFIG.rungs, LAW, noise_sd=0.001)) for c in (config, CONFIG))
    for ours, without in zip(results.targets, plain.targets, strict=True):
        assert ours.paradigms[-1].role_lrs == ()
        assert ours.winner == without.winner
        assert "mutransfer+modules proposes the same run as mutransfer" in ours.conclusion


def test_results_survive_json() -> None:
    results = run_on(CONFIG, simulate(), corpus={"digest": "abc"})
    text = results.to_json().replace('"schema"', '"schema_"', 1)
    assert RegretResults.model_validate_json(text) == results
    assert results.corpus_digest == "abc"
    assert results.law is not None
    assert {curve.rung for curve in results.curves} == {rung.name for rung in CONFIG.rungs}


def test_regret_intervals_cover_the_truth() -> None:
    """True regret is curvature * ln^2(lr / lr*) over seeds; the interval is 90%."""
    covered = total = 0
    for seed in range(100):
        results = run_on(CONFIG, simulate(seed=seed, curvature=0.05))
        for target in results.targets:
            for p in target.paradigms[:2]:
                best = LAW.lr(target.n_active, target.tokens, p.parametrization)
                truth = 0.05 * math.log(p.lr / best) ** 2
                assert p.lr_regret_low is not None
                assert p.lr_regret_high is not None
                covered += p.lr_regret_low <= truth <= p.lr_regret_high
                total += 1
    assert total == 400
    assert 0.85 <= covered / total <= 0.98


def test_power_proposes_the_proxys_best_for_every_horizon_and_reads_them_from_one_run() -> None:
    config = with_mutransfer((131072, 262144))
    lab = Log(config.rungs, LAW)
    results = run_on(config, lab)
    found = [p for target in results.targets for p in target.paradigms if p.name == "mutransfer+power"]
    assert len({p.lr for p in found}) == 1
    assert all(p.lr_regret is not None and p.schedule_gap is not None and p.regret is not None for p in found)
    assert all(p.recipe is not None and p.recipe.schedule.startswith("Power: ") for p in found)
    mutransfer = next(p for p in results.targets[0].paradigms if p.name == "mutransfer")
    assert found[0].lr == mutransfer.lr
    assert found[0].cost_flops == mutransfer.cost_flops
    asked = {r.horizons for payer, r in lab.asked if payer == "validation" and r.parametrization == "mup+power"}
    assert asked == {(262144,), (131072, 262144)}


def test_without_power_two_paradigms_compete() -> None:
    data = CONFIG.model_dump()
    del data["entries"]["mutransfer+power"]
    results = run_on(RegretConfig.model_validate(data), simulate())
    assert results.complete
    assert [p.name for p in results.targets[0].paradigms] == ["fitting", "mutransfer"]


def test_a_continued_horizon_keeps_each_lr_and_extends_no_sweep() -> None:
    data = CONFIG.model_dump()
    for rung in data["ladder"]["rungs"][-2:]:
        rung["continued"] = (1048576,)
    labs = [Log(CONFIG.rungs, LAW.model_copy(update={"k": 200.0, "v": 0.6})) for _ in range(2)]
    before = run_on(CONFIG, labs[0])
    longer = run_on(RegretConfig.model_validate(data), labs[1])
    assert longer.complete
    runs = [{(payer, request._replace(horizons=())) for payer, request in lab.asked} for lab in labs]
    assert runs[0] == runs[1]
    chosen = {(t.rung, p.name): p.lr for t in before.targets for p in t.paradigms}
    for target in longer.targets:
        for p in target.paradigms:
            assert p.lr == chosen[target.rung, p.name]
            assert (target.tokens == 1048576) == (p.flags[0] == "continued: its LR was chosen for 262,144 tokens")
    rungs = {rung["name"]: rung for rung in json.loads(longer.to_json())["rungs"]}
    for config in data["ladder"]["rungs"]:
        continued = [1048576] if config["part"] == "target" else []
        assert rungs[config["name"]]["continued"] == continued
        assert rungs[config["name"]]["horizons"] == [*sorted(config["horizons"]), *continued]


def with_validation(**changes: object) -> RegretConfig:
    data = CONFIG.model_dump()
    data["validation"] |= changes
    return RegretConfig.model_validate(data)


def test_snapped_proposals_are_trained_on_the_lattice_and_keep_what_was_proposed() -> None:
    plain, snapped = (run_on(c, simulate(noise_sd=0.0)) for c in (CONFIG, with_validation(snap_proposals=True)))
    for before, after in zip(plain.targets, snapped.targets, strict=True):
        for old, new in zip(before.paradigms, after.paradigms, strict=True):
            assert (old.lr_proposed, new.lr_proposed) == (None, old.lr)
            assert abs(math.log2(new.lr / old.lr)) <= 1 / 32 + 1e-9
            steps = 16 * math.log2(new.lr / CONFIG.oracle_guess(new.parametrization))
            assert steps == pytest.approx(round(steps), abs=1e-6)
            assert new.recipe is not None
            assert new.recipe.lr == new.lr
    with pytest.raises(ValueError, match="snap_proposals: no lattice of 1/16 octave"):
        with_validation(snap_proposals=True, oracle_factor=3.0)


def test_a_refined_sweep_has_half_steps_beside_its_best() -> None:
    results = [run_on(with_validation(oracle_refine=refine), simulate(noise_sd=0.0)) for refine in (False, True)]
    for plain, refined in zip(*(r.targets for r in results), strict=True):
        for name, oracle in refined.oracle.items():
            assert oracle.n_lrs == plain.oracle[name].n_lrs + 2
            assert oracle.status == "interior"
    assert all(r.complete for r in results)


def test_a_refined_sweep_without_its_last_step_is_missing_it() -> None:
    config = with_validation(oracle_refine=True)
    plain = run_on(CONFIG, simulate(noise_sd=0.0))
    missing = assemble(config, Found(plain.measurements)).missing
    assert sum("its last step to be measured" in line for line in missing) == 3 * len(plain.targets)


def test_a_proposal_on_the_grid_is_no_sweep() -> None:
    lab = Interrupted(CONFIG.rungs, LAW)
    lab.stop_at = "oracle-sp"
    study = Started(with_validation(snap_proposals=True), lab)
    rungs = study.config.rungs.targets
    on_grid = study.config.oracle_guess("sp") / 2
    study._search = lambda name: study.proposals.extend(  # type: ignore[method-assign]
        _proposal("fitting", "sp", rung, 262144, on_grid) for rung in rungs if name == "fitting"
    )
    with pytest.raises(KeyboardInterrupt):
        study.run()
    for target in study.found().targets:
        (fitting,) = target.paradigms
        assert fitting.loss is not None
        assert (fitting.regret, fitting.lr_regret) == (None, None)
        assert (target.oracle["sp"].loss, target.oracle["sp"].n_lrs) == (None, 0)


LEAN = with_validation(oracle_refine=True, snap_proposals=True, oracle_lean=True, oracle_points=3)


def test_a_lean_study_finds_the_same_minima_with_fewer_runs() -> None:
    full = LEAN.model_copy(update={"validation": LEAN.validation.model_copy(update={"oracle_lean": False})})
    labs = [Log(CONFIG.rungs, LAW, noise_sd=0.0) for _ in range(2)]
    for before, after in zip(*(run_on(c, lab).targets for c, lab in zip((full, LEAN), labs, strict=True)), strict=True):
        for name, oracle in after.oracle.items():
            assert (oracle.status, oracle.n_lrs) == ("interior", 4)
            assert oracle.lr == pytest.approx(before.oracle[name].lr)
            assert oracle.loss == pytest.approx(before.oracle[name].loss)
        for old, new in zip(before.paradigms, after.paradigms, strict=True):
            assert new.lr == old.lr
            assert new.lr_regret == pytest.approx(old.lr_regret, abs=1e-9)
    fewer = [len({request for payer, request in lab.asked if request.rung == "t128x4"}) for lab in labs]
    assert fewer[1] == fewer[0] - 5 * len(LEAN.labels)


def test_a_lean_sweep_shares_the_runs_of_the_proposal_nearest_to_their_mean() -> None:
    study = Started(LEAN, Log(CONFIG.rungs, LAW))
    rung, guess = LEAN.rungs.rung("t128x4"), LEAN.oracle_guess("sp")
    lrs = [guess * 2 ** (steps / 16) for steps in (-13, 3, 5, 5, 40)]  # the mean of the distinct ones is at 8.75
    study.proposals = [_proposal(f"e{i}", "sp", rung, 262144, lr) for i, lr in enumerate(lrs)]
    assert sweep_middle(LEAN, study.proposals, "t128x4", "sp") == lrs[2]
    assert sweep_middle(LEAN, study.proposals, "t128x4", "mup") == LEAN.oracle_guess("mup")
    assert sweep_middle(CONFIG, study.proposals, "t128x4", "sp") == guess
    study._validate()
    study._sweep_oracle("sp", rung)
    own = {r.lr for payer, r in study.recorder._lab.asked if payer == "oracle-sp" and r.rung == "t128x4"}  # type: ignore[attr-defined]
    assert lrs[2] in own
    assert all((16 * math.log2(lr / lrs[2])) % 8 == pytest.approx(0, abs=1e-6) for lr in own)


def test_a_lean_sweep_is_missing_until_its_near_lrs_have_all_seeds() -> None:
    whole = run_on(LEAN, simulate(noise_sd=0.0))
    assert whole.complete
    proposals = [
        _proposal(p.name, p.parametrization, LEAN.rungs.rung(t.rung), t.tokens, p.lr)
        for t in whole.targets
        for p in t.paradigms
    ]
    halves = {
        (m.rung, m.parametrization, m.lr)
        for m in whole.measurements
        if m.rung.startswith("t")
        and (8 * math.log2(m.lr / sweep_middle(LEAN, proposals, m.rung, m.parametrization))) % 8 == pytest.approx(4)
    }
    kept = [m for m in whole.measurements if m.seed != 1 or (m.rung, m.parametrization, m.lr) not in halves]
    missing = assemble(LEAN, Found(kept), proposals=proposals).missing
    assert sum("its last step to be measured" in line for line in missing) == 3 * len(whole.targets)


@pytest.mark.parametrize("key", ["oracle_refine", "snap_proposals"])
def test_a_lean_sweep_needs_a_last_step_and_proposals_on_the_lattice(key: str) -> None:
    with pytest.raises(ValueError, match=f"oracle_lean: a lean sweep needs {key}; set {key} to true"):
        with_validation(**{"oracle_refine": True, "snap_proposals": True, "oracle_lean": True, key: False})


def test_the_runs_of_a_lean_minimum_weigh_what_a_change_of_their_losses_does() -> None:
    results = run_on(LEAN, simulate(noise_sd=0.002))
    target = results.targets[-1]
    rung, noise = LEAN.rungs.rung(target.rung), Noise(0.002, 9)
    proposals = [_proposal(p.name, p.parametrization, rung, target.tokens, p.lr) for p in target.paradigms]

    def oracle(runs: Sequence[Measurement]) -> Oracle:
        return find_oracle(LEAN, runs, rung, target.tokens, "sp", noise, proposals)

    found = oracle(results.measurements)
    assert found.result.status == "interior" and found.result.loss is not None
    assert sum(found.runs.values()) == pytest.approx(1, abs=1e-4)
    assert found.n_runs == 7
    for ((name, lr), seed), weight in found.runs.items():
        moved = [
            m.model_copy(update={"loss": (m.loss or 0) + 1e-7})
            if (m.rung, m.horizon, m.parametrization, m.lr, m.seed) == (rung.name, target.tokens, name, lr, seed)
            else m
            for m in results.measurements
        ]
        assert ((oracle(moved).result.loss or 0) - found.result.loss) / 1e-7 == pytest.approx(weight, abs=1e-4)
