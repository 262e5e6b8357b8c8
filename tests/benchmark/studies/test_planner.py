"""Plans: what is known before anything runs."""

import io
import json
from functools import partial

import pytest
from rich.console import Console

from lrladder.benchmark.commands.plan_table import render
from lrladder.benchmark.config.text import preset_names
from lrladder.benchmark.lab.resolve import planned_flops, resolve
from lrladder.benchmark.lab.simulated import SimulatedLab
from lrladder.benchmark.lab.truth import TrueLaw
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.benchmark.studies.kinds import load_study, num_runs_of, plan_of
from lrladder.benchmark.studies.regret.config import RegretConfig, load_config
from lrladder.benchmark.studies.regret.making import entry_lab, make_paradigm
from lrladder.benchmark.studies.runner import run_on
from lrladder.paradigms.lab import Request
from tests.paths import TWO_TARGETS

CONFIG = load_config(TWO_TARGETS)


def huge() -> RegretConfig:
    data = CONFIG.model_dump()
    data["corpus"]["vocab_size"] = 128_000
    data["ladder"] |= {"head_size": 128, "num_experts": 64, "top_k": 6, "seq_len": 4096, "batch_tokens": 4_194_304}
    horizon = 4_194_304 * 119_210  # 500 G tokens
    rungs = [("p", "proxy", 512, 8), ("q", "proxy", 1024, 8), ("t", "target", 2048, 24)]
    data["ladder"]["rungs"] = [
        {"name": name, "part": part, "width": width, "depth": depth, "horizons": (horizon,)}
        for name, part, width, depth in rungs
    ]
    data["base"] = "p"
    return RegretConfig.model_validate(data)


def test_the_plan_brackets_what_a_study_runs() -> None:
    made = plan_of(CONFIG)
    law = TrueLaw(k=50.0, u=0.4, v=0.3, mup_base=CONFIG.rungs.rung("p48x3").n_active)
    results = run_on(CONFIG, SimulatedLab(CONFIG.rungs, law, flops=partial(planned_flops, setup=CONFIG)))
    spent = sum(results.payers.values())
    assert made.planned.flops <= spent * (1 + 1e-9)
    assert spent <= made.maximum.flops
    assert made.planned.runs <= results.trials.finished <= made.maximum.runs


def scheduled(**schedule: object) -> RegretConfig:
    data = CONFIG.model_dump()
    data["schedule"] |= schedule
    return RegretConfig.model_validate(data)


@pytest.mark.parametrize(
    "study",
    [
        scheduled(),
        scheduled(decay_fraction=0.5),
        *(scheduled(kind=kind) for kind in ("linear", "cosine", "power", "constant")),
        load_study("power"),
        load_study("axes"),
    ],
    ids=["wsd 0.2", "wsd 0.5", "linear", "cosine", "power", "constant", "a study of schedules", "a study of rules"],
)
def test_a_simulated_lab_charges_what_the_plan_counts(study: StudyConfig) -> None:
    rungs = {rung.name: rung for rung in study.rungs}
    lab = SimulatedLab(list(rungs.values()), TrueLaw(k=50.0, u=0.4, v=0.3), flops=partial(planned_flops, setup=study))
    trials = plan_of(study).trials
    for i, trial in enumerate(trials):
        lr = 1e-3 * 1.001**i  # all distinct, so that each is charged
        asked = [Request(trial.rung, trial.parametrization, lr, seed, trial.horizons) for seed in trial.seeds]
        measured = lab.measure(asked, payer="me")
        assert [lab.flops(request) for request in asked] == [trial.flops] * trial.runs
        assert {m.flops for run in measured for m in run} == {trial.flops}
    assert lab.cost_flops("me") == pytest.approx(plan_of(study).maximum.flops, rel=1e-12)
    assert {trial.rung for trial in trials} <= set(rungs)


def test_the_plan_counts_the_last_step_of_a_sweep_and_its_own_seeds() -> None:
    changes = {"seeds": (0, 1, 2), "oracle_seeds": (0, 1), "oracle_refine": True}
    config = CONFIG.model_copy(update={"validation": CONFIG.validation.model_copy(update=changes)})
    made, plain = plan_of(config), plan_of(CONFIG)
    sweeps = len(config.labels) * len(config.rungs.targets)
    proposals = sum(t.runs for t in plain.trials if t.purpose == "validation") // 2
    assert made.planned.runs - plain.planned.runs == 2 * 2 * sweeps + proposals
    law = TrueLaw(k=50.0, u=0.4, v=0.3, mup_base=CONFIG.rungs.rung("p48x3").n_active)
    results = run_on(config, SimulatedLab(config.rungs, law))
    assert results.complete
    assert made.planned.flops * 0.99 <= sum(results.payers.values()) <= made.maximum.flops
    assert {o.n_seeds for target in results.targets for o in target.oracle.values()} == {2}
    assert {p.n_seeds for target in results.targets for p in target.paradigms} == {3}


@pytest.mark.parametrize("preset", preset_names())
def test_runs_are_counted_as_in_the_plan(preset: str) -> None:
    study = load_study(preset)
    made = plan_of(study)
    assert num_runs_of(study) == (made.planned.runs, made.maximum.runs)


def test_the_search_grid_is_the_one_that_runs() -> None:
    asked: list[Request] = []

    class Log(SimulatedLab):
        def measure(self, requests, *, payer):  # type: ignore[no-untyped-def]
            asked.extend(requests)
            return super().measure(requests, payer=payer)

    run_on(CONFIG, Log(CONFIG.rungs, TrueLaw(k=50.0, u=0.4, v=0.3)))
    planned = {(t.rung, t.parametrization, t.lr, t.horizons) for t in plan_of(CONFIG).trials if t.lr is not None}
    assert planned <= {(r.rung, r.parametrization, r.lr, r.horizons) for r in asked}


@pytest.mark.parametrize(
    "changes",
    [
        {"rules": {"horizon": "fitted"}},
        {"rules": {"horizon": "none", "decay_horizon": "none"}},
        {"modules": {"roles": ("router", "head", "embedding"), "max_trials": 11}},
    ],
)
def test_the_plan_prices_the_rules_that_are_searched(changes: dict[str, object]) -> None:
    data = CONFIG.model_dump()
    modules = changes.get("modules")
    data["parametrizations"]["mup"]["rules"] |= changes.get("rules", {})
    name = "mutransfer+modules" if modules else "mutransfer"
    data["entries"][name] = data["entries"]["mutransfer"] | {"role_search": modules}
    config = RegretConfig.model_validate(data)
    law = TrueLaw(k=50.0, u=0.4, v=0.3, mup_base=config.base.shape.n_active)
    lab = Charged(config.rungs, law, noise_sd=0.0)
    lab.config = config
    paradigm = make_paradigm(config, name)
    paradigm.search(entry_lab(config, name, lab, paradigm), config.rungs)
    # the search for the LR is priced once, as the runs of both are the same
    made = [t for t in plan_of(config).trials if t.payer in ("mutransfer", name)]
    certain = sum(t.runs * t.flops for t in made if not t.extension)
    assert certain <= lab.cost_flops(name) * 1.001
    assert lab.cost_flops(name) <= sum(t.runs * t.flops for t in made) * 1.001
    roles = [t for t in made if t.purpose == "roles"]
    assert sum(t.runs for t in roles) == (10 if modules else 0)  # a start, two roles; two seeds


class Charged(SimulatedLab):
    """Charges what the trained lab would."""

    config: RegretConfig

    def flops(self, request: Request) -> float:
        return sum(t.flops for t in resolve(request, self.config, corpus_digest="", precision="fp32"))


def test_a_huge_ladder_is_planned() -> None:
    made = plan_of(huge(), corpus_tokens=10**9, workers=8, flops_per_second=4e14)
    assert made.planned.flops > 1e22
    assert made.peak_memory_bytes > 1e12
    assert any("repeats the corpus" in note for note in made.notes)
    assert made.maximum.seconds > made.planned.seconds > 0


def test_cpu_speed_is_the_measured_one() -> None:
    trial = next(t for t in plan_of(CONFIG).trials if t.rung == "t128x4" and t.purpose == "validation")
    assert trial.seconds == pytest.approx(trial.tokens / 9000, rel=0.01)


def test_json_and_table() -> None:
    made = plan_of(CONFIG, workers=2)
    data = json.loads(made.to_json())
    assert data["schema"] == "lrladder.plan/1"
    assert len(data["trials"]) == len(made.trials)
    console = Console(file=io.StringIO(), width=160)
    render(made, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "t128x4" in text
    assert "around the proposed LR" in text
    assert "AMD EPYC" in text
