"""The simulated lab keeps the lab's contract: deterministic, and each payer pays for each distinct run once."""

import math
from importlib import resources

import pytest

from lrladder.benchmark.cli import main
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.simulated import SimulatedLab
from lrladder.benchmark.lab.truth import Bowl, TrueLaw
from lrladder.benchmark.studies.kinds import plan_of
from lrladder.benchmark.studies.regret.config import load_config, parse_config
from lrladder.benchmark.studies.regret.kind import REGRET
from lrladder.benchmark.studies.runner import run_study
from lrladder.benchmark.studies.stored import load_results
from lrladder.paradigms.lab import Request

LAW = TrueLaw(k=4.0, u=0.22, v=0.35, mup_base=1000, mup_drift=0.1)


class OneRung:
    name, part, n_total, n_active, batch_tokens, horizons, flops_per_token = (
        "a",
        "proxy",
        4000,
        1000,
        8,
        (800, 1600),
        10,
    )


REQUEST = Request("a", "sp", 1e-2, 0, (800, 1600))


def test_a_repeated_request_gives_the_same_losses():
    first = SimulatedLab([OneRung], LAW, seed=1).measure([REQUEST], payer="x")
    assert first == SimulatedLab([OneRung], LAW, seed=1).measure([REQUEST], payer="y")
    assert first != SimulatedLab([OneRung], LAW, seed=2).measure([REQUEST], payer="x")
    assert first != SimulatedLab([OneRung], LAW, seed=1).measure([REQUEST._replace(seed=1)], payer="x")


def test_one_measurement_per_horizon_in_order():
    (answer,) = SimulatedLab([OneRung], LAW).measure([REQUEST], payer="x")
    assert [m.horizon for m in answer] == [800, 1600]
    (alone,) = SimulatedLab([OneRung], LAW).measure([REQUEST._replace(horizons=(800,))], payer="x")
    assert alone[0].loss == answer[0].loss
    assert alone[0].trial_id != answer[0].trial_id


def test_every_payer_pays_for_each_distinct_run_once():
    lab = SimulatedLab([OneRung], LAW)
    lab.measure([REQUEST, REQUEST._replace(horizons=(1600, 800))], payer="x")
    lab.measure([REQUEST], payer="x")
    run = 10 * (0.8 * 1600 + 0.2 * (800 + 1600))
    assert lab.cost_flops("x") == pytest.approx(run)
    assert lab.cost_flops("y") == 0
    lab.measure([REQUEST], payer="y")
    assert lab.cost_flops("y") == pytest.approx(run)


def test_losses_are_a_parabola_in_ln_lr():
    lab = SimulatedLab([OneRung], LAW, noise_sd=0.0, curvature=0.03)
    best = LAW.lr(1000, 800, "sp")
    runs = [Request("a", "sp", best * math.exp(x), 0, (800,)) for x in (0, 1, -2)]
    low, one, two = (answer[0].loss for answer in lab.measure(runs, payer="x"))
    assert (one - low, two - low) == pytest.approx((0.03, 0.12))


def test_divergence_is_a_result():
    lab = SimulatedLab([OneRung], LAW, diverge_above=4.0)
    best = LAW.lr(1000, 800, "sp")
    runs = [Request("a", "sp", best * factor, 0, (800,)) for factor in (3.9, 4.1)]
    assert [answer[0].verdict for answer in lab.measure(runs, payer="x")] == ["finished", "diverged"]
    assert lab.measure(runs, payer="x")[1][0].loss is None


def test_mup_moves_with_size_by_its_drift_only():
    assert LAW.lr(64_000, 800, "mup") / LAW.lr(1000, 800, "mup") == pytest.approx(64**-0.1)
    assert LAW.lr(1000, 800, "mup") == pytest.approx(LAW.lr(1000, 800, "sp"))
    assert LAW.lr(64_000, 800, "sp") / LAW.lr(1000, 800, "sp") == pytest.approx(64**-0.22)


def test_mup_with_a_horizon_rule_moves_with_tokens_by_what_the_rule_leaves():
    law = TrueLaw(k=4.0, u=0.22, v=0.35, mup_base=1000, mup_tokens=800, mup_v=-0.15)
    assert law.lr(1000, 800, "mup") == pytest.approx(law.lr(1000, 800, "sp"))
    assert law.lr(1000, 6400, "mup") / law.lr(1000, 800, "mup") == pytest.approx(8**0.15)


def test_the_best_lr_moves_with_batch_and_sparsity():
    law = TrueLaw(k=4.0, u=0.22, v=0.35, w=0.5, s=0.1)
    assert law.best(OneRung, 800, "sp") == pytest.approx(law.lr(1000, 800, "sp") * 8**0.5 * 0.25**0.1)


def test_the_bowl_may_be_steeper_above_and_level_off():
    assert Bowl(curvature=0.02, steeper=3.0).rise(0.5) == pytest.approx(3 * Bowl(curvature=0.02).rise(-0.5))
    flat = Bowl(curvature=0.02, plateau=0.05)
    assert flat.rise(-0.1) == pytest.approx(0.0002, rel=0.01)
    assert flat.rise(-10) == pytest.approx(0.05)


def test_common_noise_moves_all_lrs_of_a_seed_together():
    lab = SimulatedLab([OneRung], LAW, noise_sd=0.0, common_sd=0.01)
    quiet = SimulatedLab([OneRung], LAW, noise_sd=0.0)
    runs = [REQUEST._replace(lr=lr, seed=seed, horizons=(800,)) for seed in (0, 1) for lr in (0.01, 0.02)]
    both = zip(lab.measure(runs, payer="x"), quiet.measure(runs, payer="x"), strict=True)
    shifts = [noisy[0].loss - clean[0].loss for noisy, clean in both]
    assert shifts[0] == pytest.approx(shifts[1])
    assert shifts[2] == pytest.approx(shifts[3])
    assert abs(shifts[0] - shifts[2]) > 1e-4


def test_a_fixed_grid_is_all_there_is():
    lab = SimulatedLab([OneRung], LAW, grid=(0.02, 0.01))
    assert lab.lrs("a") == (0.01, 0.02)
    assert SimulatedLab([OneRung], LAW).lrs("a") is None
    with pytest.raises(KeyError, match=r"no run at lr 0\.03"):
        lab.measure([REQUEST._replace(lr=0.03)], payer="x")


CONFIG = load_config("moe12b")
CONFIG_TEXT = (resources.files("benchmark") / "presets" / "moe12b.yaml").read_text()


def test_the_12b_ladder_is_what_it_says():
    target = CONFIG.rungs.targets[-1]
    assert target.n_total == pytest.approx(12e9, rel=0.02)
    assert target.n_active == pytest.approx(1.3e9, rel=0.02)
    assert target.horizons == (500_000_882_688,)
    assert 18e6 < min(rung.n_active for rung in CONFIG.rungs.proxies) < 22e6
    assert plan_of(CONFIG).notes[0].startswith("the config asks for simulated losses, so `run` trains nothing")


def test_the_12b_ladder_runs_through_the_whole_protocol_and_says_that_nothing_was_trained(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("sys.argv", ["lrladder", "run", "moe12b", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    results = load_results(tmp_path, REGRET)
    assert (results.complete, results.lab, results.trials.trained_now) == (True, "simulated", 0)
    assert str(results.corpus["source"]).startswith("SIMULATED: losses come from a known law")
    law = CONFIG.simulated.law_for(CONFIG.base)
    for target in results.targets:
        fitting = next(paradigm for paradigm in target.paradigms if paradigm.name == "fitting")
        assert abs(math.log(fitting.lr / law.lr(target.n_active, target.tokens, "sp"))) < 0.4
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.index("SIMULATED: losses come from a known law") < page.index(">What to set</h2>")
    assert "SIMULATED" in capsys.readouterr().out


def test_a_folder_of_trained_runs_is_not_overwritten_by_simulated_ones(tmp_path):
    (tmp_path / "store.sqlite").touch()
    with pytest.raises(InputError, match="holds a study that was trained"):
        run_study(CONFIG, tmp_path, workers=1)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("simulated: {law: {k: 825, u: 0.2, v: 0.3, q: 1}}", "unknown key simulated.law.q"),
        ("simulated: {law: {k: -1, u: 0.2, v: 0.3}}", "simulated.law.k"),
        ("simulated: {bowl: {curvature: 0.02}}", "key simulated.law is missing"),
        ("simulated: {law: {k: 1, u: 0.2, v: 0.3}, bowl: {curvture: 1}}", "did you mean 'curvature'"),
    ],
)
def test_a_wrong_truth_is_one_clear_line(line, message):
    text = CONFIG_TEXT.split("simulated:")[0] + line
    with pytest.raises(InputError) as error:
        parse_config(text, source="x.yaml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
