"""`lrladder fit` and `recommend`: a known law in a CSV, the contract for scripts, and what is said of weak designs."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from lrladder.benchmark.cli import app
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.own_runs.fit import fit_runs
from lrladder.benchmark.own_runs.fit_file import fit_file, save
from lrladder.benchmark.own_runs.fit_results import FitResults
from lrladder.benchmark.own_runs.runs import load_runs
from lrladder.benchmark.recommend.fit import recommend
from lrladder.benchmark.recommend.sanity import Target
from lrladder.reports.fit.page import render
from tests.paths import SHARED

K, U, V, W = 30.0, 0.4, 0.2, 0.4
SIZES, TOKENS, BATCHES = (5e7, 1e8, 2e8, 4e8), (2e9, 4e9, 8e9, 1.6e10), (131072.0, 262144.0, 524288.0)
PUBLISHED = SHARED / "data" / "openeurollm_dense.csv"


def best_lr(n: float, d: float, b: float) -> float:
    return K * n**-U * d**-V * (b / 262144) ** W


def frame(
    *, noise: float = 0.001, sizes: Sequence[float] = SIZES, tokens: Sequence[float] = TOKENS, batches: int = 3
) -> pd.DataFrame:
    """Losses of a known law: the best batch moves with sqrt(tokens)."""
    rng = np.random.default_rng(0)
    rows = []
    for n in sizes:
        for d in tokens:
            for b in BATCHES[:batches]:
                best = best_lr(n, d, b)
                floor = 1.7 + 400 * n**-0.34 + 410 * d**-0.28 + 0.01 * math.log(b / 262144 / (d / 6e9) ** 0.5) ** 2
                for step in range(-2, 3):
                    lr = 2.0 ** (round(math.log2(best)) + step)
                    loss = floor + 0.02 * math.log(lr / best) ** 2 + noise * rng.standard_normal()
                    rows.append({"n_params": n, "tokens": d, "batch_tokens": b, "lr": lr, "loss": loss})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "runs.csv"
    frame().to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def results(csv: Path) -> FitResults:
    return fit_file(csv, protocol="best")


def test_exponents_are_recovered_within_their_intervals(results: FitResults) -> None:
    law = next(law for law in results.laws if law.batch == "given")
    for name, truth in (("n", -U), ("tokens", -V), ("batch_tokens", W)):
        found = law.exponents[name]
        assert found.low is not None
        assert found.high is not None
        assert found.low <= truth <= found.high, name
        assert found.high - found.low < 0.5, name


def test_the_batch_protocol_belongs_to_the_law(results: FitResults) -> None:
    """With the batch moving along as sqrt(D), the exponent of tokens takes in half of the batch's."""
    free = results.laws[0].exponents["tokens"]
    given = next(law for law in results.laws if law.batch == "given").exponents["tokens"]
    assert free.value > given.value + 0.05


def test_recommend_extrapolates_the_law(results: FitResults) -> None:
    found = recommend(results, Target(1.6e9, 6.4e10, batch_tokens=524288))
    truth = best_lr(1.6e9, 6.4e10, 524288)
    assert found.lr_low <= truth <= found.lr_high
    assert abs(math.log2(found.lr / truth)) < 0.3
    assert found.extrapolation == pytest.approx(16)
    assert any("over 10x" in flag for flag in found.flags)
    assert found.loss == pytest.approx(1.7 + 400 * 1.6e9**-0.34 + 410 * 6.4e10**-0.28, abs=0.1)


def test_one_more_sweep_is_affordable_and_helps(results: FitResults) -> None:
    sweep = recommend(results, Target(1.6e9, 6.4e10, batch_tokens=524288)).next_sweep
    assert sweep is not None
    assert 0 < sweep.cost_fraction <= 0.75
    assert sweep.octaves_after < sweep.octaves_before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sizes": SIZES[:1]}, "do not determine"),
        ({"sizes": (1e8, 1.3e8)}, "do not determine"),
        ({"tokens": TOKENS[:1]}, "do not determine"),
    ],
)
def test_what_a_design_cannot_tell_is_flagged(tmp_path: Path, changes: dict[str, Sequence[float]], words: str) -> None:
    path = tmp_path / "runs.csv"
    frame(batches=1, **changes).to_csv(path, index=False)  # type: ignore[arg-type]
    fitted = fit_file(path, protocol="best")
    assert any(words in flag for law in fitted.laws for flag in law.flags)
    exponents = [found for law in fitted.laws for found in law.exponents.values()]
    assert all(abs(found.value) < 1.5 for found in exponents)


def test_open_cells_are_left_out_and_said(tmp_path: Path) -> None:
    runs = frame(batches=1)
    cut = runs[~((runs.n_params == SIZES[0]) & (runs.lr > 0.9 * best_lr(SIZES[0], TOKENS[0], BATCHES[0])))]
    path = tmp_path / "runs.csv"
    cut.to_csv(path, index=False)
    fitted = fit_file(path, protocol="best")
    assert fitted.counts["edge"] >= 1
    assert any("no bracketed minimum" in flag for flag in fitted.flags)


def test_dead_and_single_cells_are_flagged_rows(tmp_path: Path) -> None:
    runs = frame(batches=1)
    first = (runs.n_params == SIZES[0]) & (runs.tokens == TOKENS[0])
    second = (runs.n_params == SIZES[0]) & (runs.tokens == TOKENS[1])
    runs.loc[first, "loss"] = math.nan
    runs = runs.drop(runs[second].index[1:])
    path = tmp_path / "runs.csv"
    runs.to_csv(path, index=False)
    fitted = fit_file(path, protocol="best")
    assert any("every run diverged" in flag for flag in fitted.flags)
    assert any("one learning rate" in flag for flag in fitted.flags)
    assert fitted.laws


def test_held_out_cells_are_in_no_law(tmp_path: Path, results: FitResults) -> None:
    runs = frame()
    runs["held_out"] = (runs.n_params == SIZES[-1]).astype(int)
    path = tmp_path / "runs.csv"
    runs.to_csv(path, index=False)
    fitted = fit_runs(load_runs(path), source="runs.csv", digest="x")
    assert max(cell.n_params for cell in fitted.cells) == SIZES[-2]
    assert len(fitted.cells) == len(results.cells) * 3 // 4


def test_results_survive_json(results: FitResults) -> None:
    assert FitResults.from_json(results.to_json()) == results
    with pytest.raises(ValueError, match=r"lrladder\.fit/1"):
        FitResults.from_json("[]")


def test_other_results_are_never_overwritten(tmp_path: Path, results: FitResults) -> None:
    save(results, tmp_path)
    before = (tmp_path / "results.json").read_bytes()
    save(results, tmp_path)
    with pytest.raises(InputError, match="choose another OUT"):
        save(results.model_copy(update={"digest": "other"}), tmp_path)
    assert (tmp_path / "results.json").read_bytes() == before


def test_the_contract_for_scripts(csv: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    done = CliRunner().invoke(app, ["fit", str(csv), "--out", out, "--json"])
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert {"laws", "cells", "flags"} <= printed.keys()
    assert {"value", "low", "high"} == printed["laws"][0]["exponents"]["n"].keys()
    asked = ["recommend", out, "--n-params", "1.6e9", "--tokens", "6.4e10", "--json"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert {"lr", "lr_low", "lr_high", "loss", "extrapolation", "flags"} <= found.keys()
    assert found["lr_low"] < found["lr"] < found["lr_high"]


def test_recommend_says_which_option_is_missing(csv: Path, tmp_path: Path) -> None:
    CliRunner().invoke(app, ["fit", str(csv), "--out", str(tmp_path)])
    done = CliRunner().invoke(app, ["recommend", str(tmp_path), "--tokens", "1e9"])
    assert isinstance(done.exception, InputError)
    assert "--n-params" in str(done.exception)


def test_a_page_escapes_what_the_file_says(tmp_path: Path) -> None:
    runs = frame(batches=1)
    runs["family"] = "<script>alert(1)</script>"
    path = tmp_path / "runs.csv"
    runs.to_csv(path, index=False)
    page = render(fit_file(path, protocol="best"))
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org", "").replace("http-equiv", "")


def test_a_file_without_any_minimum_still_has_a_page(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    pd.DataFrame({"n_params": [1e8] * 2, "tokens": 1e9, "lr": [0.01, 0.02], "loss": math.nan}).to_csv(path, index=False)
    fitted = fit_file(path, protocol="best")
    assert not fitted.laws
    assert "There is no law" in render(fitted)
    with pytest.raises(InputError, match="no cell has a bracketed minimum"):
        recommend(fitted, Target(1e9, 1e10))


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published sweeps are not beside this checkout")
def test_published_horizons_are_predicted_to_a_few_millinats() -> None:
    horizons = fit_file(PUBLISHED, protocol="best").horizons
    assert horizons.n_usable >= 50
    assert horizons.median_miss is not None
    assert horizons.median_miss < 0.004
