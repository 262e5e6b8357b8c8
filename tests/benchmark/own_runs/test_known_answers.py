"""Small tables whose right answers are known: what real tables suffer from, and what must come out of them."""

import math
from pathlib import Path

import pytest

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.own_runs.fit_file import fit_file
from lrladder.benchmark.own_runs.fit_results import FitCell, FitResults
from lrladder.benchmark.own_runs.replay import replay
from lrladder.benchmark.own_runs.runs import load_runs
from lrladder.benchmark.recommend.fit import recommend
from lrladder.benchmark.recommend.sanity import Target
from lrladder.reports.fit.page import render
from tests.paths import ROOT

CASES = ROOT / "tests" / "fixtures" / "cases"
WANDB = {
    "n_params": "config.model.parameter_count",
    "tokens": "config.data.total_tokens",
    "lr": "config.lr",
    "loss": "eval/loss",
    "batch_tokens": "config.global_batch_tokens",
}


def fitted(name: str, **columns: str) -> FitResults:
    return fit_file(CASES / name, protocol="best", columns=columns)


def only(results: FitResults) -> FitCell:
    (cell,) = results.cells
    return cell


def without_status(name: str, folder: Path) -> Path:
    """The same table without its last column."""
    path = folder / name
    lines = (CASES / name).read_text().splitlines()
    path.write_text("\n".join(line.rpartition(",")[0] for line in lines))
    return path


def test_a_blow_up_brackets_as_a_divergence_does() -> None:
    cell = only(fitted("blowup.csv"))
    assert cell.status == "bracketed"
    assert any("bracketed by divergence" in flag for flag in cell.flags)
    assert (cell.lr_low, cell.lr_best, cell.lr_high) == pytest.approx((0.003, 0.006, 0.012))
    assert cell.loss == pytest.approx(3.264)


def test_a_diverged_run_in_its_place_gives_the_same(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text((CASES / "blowup.csv").read_text().replace("7.41", "nan").replace("7.63", ""))
    blown, diverged = only(fitted("blowup.csv")), only(fit_file(path, protocol="best"))
    assert (blown.status, blown.lr_best, blown.lr_low, blown.lr_high, blown.loss) == (
        *(diverged.status, diverged.lr_best, diverged.lr_low, diverged.lr_high, diverged.loss),
    )


def test_a_blow_up_does_not_lead_the_law_astray() -> None:
    results = fitted("blowup_law.csv")
    largest = max(results.cells, key=lambda cell: cell.n_params)
    assert (largest.lr_low, largest.lr_best, largest.lr_high) == pytest.approx((0.0016, 0.0032, 0.0064))
    found = recommend(results, Target(3.2e9, 6.4e10, batch_tokens=1e6))
    assert found.lr == pytest.approx(0.0018, rel=0.1)


def test_a_run_that_did_not_finish_is_no_result() -> None:
    results = fitted("unfinished.csv")
    cell = only(results)
    assert len(cell.lrs) == 4
    assert 0.001 < cell.lr_best < 0.008
    assert cell.loss == pytest.approx(3.475, abs=0.015)
    assert cell.lr_high > 1.5 * cell.lr_low  # three LRs are left, with a gap of two octaves
    assert any("uneven" in flag for flag in cell.flags)


def test_without_its_status_it_is_an_outlier_and_said_to_be(tmp_path: Path) -> None:
    cell = only(fit_file(without_status("unfinished.csv", tmp_path), protocol="best"))
    assert cell.lr_best == pytest.approx(only(fitted("unfinished.csv")).lr_best, rel=1e-6)
    assert any("0.002" in flag and "left out" in flag for flag in cell.flags)


def test_a_crashed_repeat_is_no_divergence() -> None:
    cell = only(fitted("crashed.csv"))
    assert (cell.status, cell.n_diverged) == ("interior", 0)
    assert cell.lr_best == pytest.approx(0.004, rel=0.05)


def test_the_noise_of_one_family_says_nothing_of_another() -> None:
    good, *poor = fitted("two_families.csv").cells
    assert good.status == "interior"
    assert good.lr_best == pytest.approx(0.02, rel=0.15)
    assert [cell.lr_best for cell in poor] == pytest.approx([0.0013, 0.0013], rel=0.05)
    assert [cell.loss for cell in poor] == pytest.approx([6.10, 6.05], abs=0.01)


@pytest.mark.parametrize("column", ["n_params", "tokens"])
def test_two_units_in_a_column_are_refused(column: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    header, *rows = (CASES / "units.csv").read_text().splitlines()
    if column == "tokens":
        rows = [",".join((row.split(",")[1], row.split(",")[0], *row.split(",")[2:])) for row in rows]
    path.write_text("\n".join([header, *rows]))
    with pytest.raises(InputError, match=rf"column {column}: 1.3, but 350 .* are there two units in this column"):
        fit_file(path, protocol="best")


def test_runs_that_end_some_steps_apart_are_one_sweep() -> None:
    results = fitted("near_horizons.csv")
    assert only(results).lr_best == pytest.approx(0.003, rel=0.05)
    assert any("within 2% of each other" in flag for flag in results.flags)


def law(n: float, tokens: float) -> float:
    """The law behind the tables below; their README."""
    return 0.003 * (n / 1e8) ** -0.4 * (tokens / 1e10) ** -0.2


def test_a_loss_law_with_interaction() -> None:
    results = fitted("loss_law.csv")
    assert results.loss_law.form == "power"
    found = recommend(results, Target(1.2e9, 8e10, batch_tokens=5e5))
    assert found.loss == pytest.approx(1.610, abs=0.005)
    assert found.loss_low < 1.610 < found.loss_high


def test_a_table_of_wandb_with_its_columns_named() -> None:
    results = fitted("wandb_runs.csv", **WANDB)
    assert results.counts == {"interior": 12}
    assert all(cell.lr_best == pytest.approx(law(cell.n_params, cell.tokens), rel=0.05) for cell in results.cells)
    assert recommend(results, Target(1e9, 1e11)).lr == pytest.approx(7.5e-4, rel=0.05)
    assert any("2 runs did not finish and are left out: 1 crashed, 1 running" in flag for flag in results.flags)


def test_all_its_columns_are_guessed_at_once() -> None:
    with pytest.raises(InputError) as refused:
        fitted("wandb_runs.csv")
    option = str(refused.value).partition("--columns '")[2].rstrip("'")
    assert dict(part.split("=") for part in option.split(",")) == WANDB


def test_a_wide_table() -> None:
    results = fitted("wide.csv", tokens="1e10")
    assert all(cell.lr_best == pytest.approx(law(cell.n_params, 1e10), rel=0.05) for cell in results.cells)
    assert [cell.n_diverged for cell in results.cells] == [0, 0, 0, 1]
    assert any("wide table: n_params across (50M, 100M, 200M, 400M)" in flag for flag in results.flags)


def test_a_wide_table_needs_its_tokens() -> None:
    with pytest.raises(
        InputError, match=r"no column tokens; for tokens name a column, or give one number for all rows"
    ):
        fitted("wide.csv")


def test_objects_one_a_line() -> None:
    columns = {"n_params": "params", "batch_tokens": "batch", "loss": "final_loss"}
    results = fit_file(CASES / "runs.jsonl", protocol="best", columns=columns)
    assert all(cell.lr_best == pytest.approx(law(cell.n_params, cell.tokens), rel=0.05) for cell in results.cells)
    assert {cell.batch_tokens for cell in results.cells} == {1e6}
    assert math.isclose(max(cell.n_params for cell in results.cells), 4e8)


def one_anchor(folder: Path, *, batch: bool = True) -> FitResults:
    """One tuned sweep: lr* 2e-3 at 1e8 parameters and 1e10 tokens."""
    path = folder / "anchor.csv"
    lrs = [2e-3 * 2.0**k for k in range(-2, 3)]
    rows = [f"1e8,1e10,{'1e6' if batch else ''},{lr},{3.0 + 0.02 * math.log(lr / 2e-3) ** 2}" for lr in lrs]
    path.write_text("\n".join(["n_params,tokens,batch_tokens,lr,loss", *rows]))
    return fit_file(path, protocol="best")


@pytest.mark.parametrize(("batch", "said"), [(1e6, "assumed 0.2 +- 0.2"), (None, "assumed 0.1 +- 0.3")])
def test_flags_describe_the_law_that_answered(batch: float | None, said: str, tmp_path: Path) -> None:
    found = recommend(one_anchor(tmp_path), Target(1e8, 1e12, batch_tokens=batch))
    exponent = math.log(found.lr / 2e-3) / math.log(100)
    assert exponent == pytest.approx(-0.2 if batch else -0.1, abs=0.02)
    (flag,) = (flag for flag in found.flags if flag.startswith("the runs do not determine v"))
    assert said in flag


def test_one_anchor_is_answered_by_published_exponents_side_by_side(tmp_path: Path) -> None:
    found = recommend(one_anchor(tmp_path), Target(1e9, 1e11))
    by_source = {one.source: one.lr for one in found.assumed}
    assert by_source["arXiv 2601.05049"] == pytest.approx(2e-3 * 10 ** (-0.2219 - 0.3509), rel=0.02)
    assert by_source["arXiv 2503.04715"] == pytest.approx(2e-3 * 10 ** (-0.713 + 0.307), rel=0.02)
    assert any("exponents are assumed" in flag for flag in found.flags)
    assert found.lr_low <= min(by_source.values()) <= max(by_source.values()) <= found.lr_high


def test_what_the_runs_tell_is_not_assumed() -> None:
    assert recommend(fitted("wandb_runs.csv", **WANDB), Target(1e9, 1e11)).assumed == ()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (Target(1.0, 1e11), "--n-params 1: the fitted runs have 5e+07 to 4e+08; use the same unit"),
        (Target(1e9, 100.0), "--tokens 100: the fitted runs have 5e+09 to 2e+10"),
        (Target(1e9, 1e11, batch_tokens=4.0), "--batch-tokens 4: the fitted runs have 1.049e+06"),
        (Target(1e9, 1e11, batch_tokens=2e11), "one step would be more than the whole run"),
        (Target(1e9, 1e11, n_active=2e9), "--n-active 2e+09 is more than --n-params 1e+09"),
    ],
)
def test_a_target_that_cannot_be_is_refused(target: Target, said: str) -> None:
    with pytest.raises(InputError) as refused:
        recommend(fitted("wandb_runs.csv", **WANDB), target)
    assert said in str(refused.value)


def test_a_sparse_table_asks_for_the_active_parameters(tmp_path: Path) -> None:
    path = tmp_path / "sparse.csv"
    rows = [
        f"{10 * n},{n},1e10,{lr},{3 + 0.02 * math.log(lr / 2e-3) ** 2}" for n in (1e8, 4e8) for lr in (1e-3, 2e-3, 4e-3)
    ]
    path.write_text("\n".join(["n_params,n_active,tokens,lr,loss", *rows]))
    results = fit_file(path, protocol="best")
    with pytest.raises(InputError, match="--n-active is missing"):
        recommend(results, Target(1e10, 1e11))
    assert recommend(results, Target(1e10, 1e11, n_active=1e9)).lr > 0


def test_oddities_of_a_target_are_said() -> None:
    results = fitted("wandb_runs.csv", **WANDB)
    below = recommend(results, Target(1e7, 1e11))
    sparse = recommend(results, Target(1e9, 1e11, n_active=5e8))
    assert any("below all fitted runs" in flag for flag in below.flags)
    assert any("no fitted run was sparse" in flag for flag in sparse.flags)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "near_horizons.csv",
            "a target needs 5 cells of its family at 0.25 of its FLOPs or less; N 50000000",
        ),
        ("blowup.csv", "none of 1 cells has a fitted minimum to score against (1 bracketed)"),
    ],
)
def test_replay_says_why_there_is_no_target(name: str, said: str) -> None:
    (flag,) = (flag for flag in replay(load_runs(CASES / name)).flags if flag.startswith("no target"))
    assert said in flag


def test_a_wrong_size_shows_beside_the_law(tmp_path: Path) -> None:
    """Twelve cells of a known law, one size written three times too large."""
    path = tmp_path / "wrong.csv"
    path.write_text((CASES / "wandb_runs.csv").read_text().replace(",200000000,", ",600000000,"))
    right, wrong = fitted("wandb_runs.csv", **WANDB), fit_file(path, protocol="best", columns=WANDB)
    off = {cell.n_params: cell.octaves_off for cell in wrong.cells}
    assert all(abs(cell.octaves_off) < 0.1 for cell in right.cells)
    assert max(off, key=lambda n: abs(off[n])) == 6e8
    assert off[6e8] > 0.25
    assert "by the law" in render(wrong)
