"""Replays: who is a target and who a source, what regret is, and that no result depends on units, order or names."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lrladder.benchmark.cli import main
from lrladder.benchmark.own_runs.cells import cells
from lrladder.benchmark.own_runs.replay import Replay, replay, score_choice, tasks
from lrladder.benchmark.own_runs.runs import Runs, load_runs
from lrladder.benchmark.own_runs.ways import Way
from lrladder.paradigms.registry import NAMED
from lrladder.paradigms.strategies.search import Choice
from lrladder.reports.fit.replay_table import frame, summarise, write
from tests.benchmark.own_runs.run_tables import CURVATURE, HORIZONS, SIZES, best_lr, save, table
from tests.paths import SHARED

DATA = SHARED / "data"
EQUIVARIANT = ("search_factor", "economy", "active", "nearest_cell", "constant_best", "step_law_refitted")


def _replay(tmp_path: Path, data: pd.DataFrame, *strategies: str) -> Replay:
    return replay(load_runs(save(data, tmp_path / "runs.csv")), strategies=strategies or ("economy",))


def test_without_a_named_target_each_cell_with_five_small_ones_is_one(tmp_path: Path) -> None:
    runs = load_runs(save(table(), tmp_path / "runs.csv"))
    found = {(task.target.n_params, task.target.tokens): task.sources for task in tasks(runs, "best")}
    smaller = {(n, d): sum(a * b <= n * d / 4 for a in SIZES for b in HORIZONS) for n in SIZES for d in HORIZONS}
    assert {cell: len(sources) for cell, sources in found.items()} == {c: k for c, k in smaller.items() if k >= 5}
    for (n, d), sources in found.items():
        assert all(source.n_params * source.tokens <= n * d / 4 for source in sources)


def test_held_out_cells_are_the_targets_and_never_sources(tmp_path: Path) -> None:
    data = table()
    data["held_out"] = ((data.n_params == SIZES[1]) | (data.tokens == HORIZONS[2])).astype(int)
    for task in tasks(load_runs(save(data, tmp_path / "runs.csv")), "best"):
        assert task.target.held_out
        assert not any(source.held_out for source in task.sources)


def test_sources_do_not_change_with_held_out_losses(tmp_path: Path) -> None:
    data = table(noise=0.003)
    data["held_out"] = (data.n_params == SIZES[2]).astype(int)
    other = data.assign(loss=data.loss * np.where(data.held_out, 1 + 0.1 * np.sin(1e4 * data.lr), 1))
    first, second = (
        [task.sources for task in tasks(load_runs(save(table_, tmp_path / "runs.csv")), "best")]
        for table_ in (data, other)
    )
    assert first == second


def test_families_do_not_answer_for_each_other(tmp_path: Path) -> None:
    both = pd.concat([table().assign(family="a"), table(sizes=[3 * n for n in SIZES]).assign(family="b")])
    found = list(tasks(load_runs(save(both, tmp_path / "runs.csv")), "best"))
    assert {task.target.family for task in found} == {"a", "b"}
    assert all(source.family == task.target.family for task in found for source in task.sources)


def test_a_law_without_noise_is_found(tmp_path: Path) -> None:
    result = _replay(tmp_path, table(), "search_factor", "economy", "active")
    for target in result.targets:
        assert target.lr_best == pytest.approx(best_lr(target.n_params, target.tokens), rel=1e-6)
        for score in target.strategies:
            if score.lr is not None:
                assert score.regret_quadratic is not None
                assert score.regret_quadratic < 3e-4
                assert score.covered
    assert {summary.name: summary.n > 0 for summary in summarise(result)} == dict.fromkeys(
        ("fitting", "search_factor", "economy", "active"), True
    )


def test_regrets_and_cost_are_those_of_the_choice(tmp_path: Path) -> None:
    cell = cells(load_runs(save(table(), tmp_path / "a.csv")))[4]
    assert cell.curve.lr_best is not None
    score = score_choice(Way("x", NAMED["fitting"]), Choice(cell.curve.lr_best * 2, 0.0, 1.0), cell, cost_fraction=3)
    assert score.regret_quadratic == pytest.approx(CURVATURE * math.log(2) ** 2)
    assert score.regret_interpolated == pytest.approx(CURVATURE * math.log(2) ** 2)  # an LR of the table
    assert (score.cost_fraction, score.covered) == (3, True)
    between = score_choice(
        Way("x", NAMED["fitting"]), Choice(cell.curve.lr_best * 2**0.5, None, None), cell, cost_fraction=0
    )
    assert between.regret_interpolated is not None
    assert 0 < between.regret_interpolated < score.regret_interpolated
    assert between.covered is None


def test_an_lr_beyond_those_of_the_target_is_said(tmp_path: Path) -> None:
    cell = cells(load_runs(save(table(), tmp_path / "a.csv")))[4]
    score = score_choice(Way("x", NAMED["fitting"]), Choice(max(cell.lrs) * 2, None, None), cell, cost_fraction=0)
    assert score.regret_interpolated is not None
    assert score.regret_interpolated > CURVATURE * math.log(16) ** 2
    assert any("outside the LRs that finished" in flag for flag in score.flags)


def test_a_strategy_without_an_answer_says_why(tmp_path: Path) -> None:
    data = table()
    data["held_out"] = (data.n_params * data.tokens <= SIZES[0] * HORIZONS[0]).astype(int)
    (target,) = _replay(tmp_path, data, "joint_moe_published").targets
    for score in target.strategies:
        assert (score.lr, score.regret_quadratic, score.regret_interpolated, score.cost_fraction) == (
            None,
            None,
            None,
            0,
        )
        assert score.flags


def test_an_unbracketed_target_has_no_quadratic_regret(tmp_path: Path) -> None:
    data = table()
    top = (data.n_params == SIZES[2]) & (data.tokens == HORIZONS[2])
    data["held_out"] = top.astype(int)
    data = data[~top | (data.lr >= 2 * best_lr(SIZES[2], HORIZONS[2]))]
    (target,) = _replay(tmp_path, data).targets
    assert any("not bracketed (edge at its low end)" in flag for flag in target.flags)
    for score in target.strategies:
        assert score.lr is not None
        assert (score.regret_quadratic, score.covered) == (None, None)


def test_no_target_is_said(tmp_path: Path) -> None:
    result = _replay(tmp_path, table(sizes=SIZES[:1]))
    assert result.targets == ()
    assert result.flags[0].startswith("no target: ")
    assert len(frame(result)) == len(summarise(result)) == 0


def _numbers(result: Replay, *, lr: float, loss: float) -> list[float]:
    """All that a replay says, in the units of lr and loss."""
    found: list[float | None] = []
    for target in result.targets:
        found += [value and value / lr for value in (target.lr_best, target.lr_best_low, target.lr_best_high)]
        found += [target.loss_best and target.loss_best / loss, target.extrapolation]
        for score in target.strategies:
            found += [value and value / lr for value in (score.lr, score.lr_low, score.lr_high)]
            found += [value and value / loss for value in (score.regret_quadratic, score.regret_interpolated)]
            found += [score.cost_fraction, score.covered]
    return [math.nan if value is None else float(value) for value in found]


def _rescaled(data: pd.DataFrame, by: dict[str, float], *, seed: int) -> pd.DataFrame:
    scaled = data.assign(**{column: data[column] * factor for column, factor in by.items() if column in data})
    return scaled.sample(frac=1, random_state=seed)


SCALE = st.floats(-3, 3).map(lambda power: 10**power)


@settings(
    max_examples=3,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(lr=SCALE, loss=SCALE, sizes=SCALE, tokens=SCALE, seed=st.integers(0, 99))
def test_units_and_order_do_not_matter(
    tmp_path: Path, lr: float, loss: float, sizes: float, tokens: float, seed: int
) -> None:
    data = table(noise=0.002)
    scaled = _rescaled(data, {"lr": lr, "loss": loss, "n_params": sizes, "tokens": tokens}, seed=seed)
    first = _numbers(_replay(tmp_path, data, *EQUIVARIANT), lr=1, loss=1)
    second = _numbers(_replay(tmp_path, scaled, *EQUIVARIANT), lr=lr, loss=loss)
    np.testing.assert_allclose(second, first, rtol=1e-4, atol=1e-9)


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the published sweeps in ../shared/data")
@pytest.mark.parametrize("name", ["openeurollm_dense", "steplaw_dense", "steplaw_moe"])
def test_units_order_and_names_do_not_matter_on_published_runs(name: str, tmp_path: Path) -> None:
    data = pd.read_csv(DATA / f"{name}.csv")
    flops = data.n_active * data.tokens
    data["held_out"] = flops.isin(sorted(flops.unique())[-2:]).astype(int)
    by = {"lr": 0.37, "loss": 1.9, "n_params": 0.011, "n_active": 0.011, "tokens": 3.3e-4, "batch_tokens": 3.3e-4}
    scaled = _rescaled(data, by, seed=3).rename(columns={"source": "origin", "family": "kind", "arch": "shape"})
    first = _replay(tmp_path, data, "search_factor", "economy")
    second = _replay(tmp_path, scaled, "search_factor", "economy")
    np.testing.assert_allclose(_numbers(second, lr=0.37, loss=1.9), _numbers(first, lr=1, loss=1), rtol=1e-4, atol=1e-9)


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the published sweeps in ../shared/data")
def test_published_runs_are_answered_within_the_stated_regret() -> None:
    runs = load_runs(DATA / "openeurollm_dense.csv")
    fitting, economy = summarise(replay(runs, strategies=["economy"]))
    assert fitting.n == economy.n == 19
    assert fitting.median <= 1e-3
    assert fitting.worst <= 5e-3
    assert economy.median <= 3e-3
    assert economy.worst <= 8e-3
    assert economy.cost <= 0.6
    assert min(fitting.covered, economy.covered) >= 0.8 * 19


def test_the_command_prints_the_contract_and_writes_two_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = save(table(), tmp_path / "runs.csv"), tmp_path / "out"
    out.mkdir()
    (out / "kept.txt").write_text("mine")
    arguments = ["lrladder", "replay", str(path), "--out", str(out), "--json", "--strategy", "nearest_cell"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code in (0, None)
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((out / "replay.json").read_text())
    for target in printed["targets"]:
        assert {"n_params", "tokens", "batch_tokens", "strategies"} <= target.keys()
        assert [score["name"] for score in target["strategies"]] == ["fitting", "nearest_cell"]
        for score in target["strategies"]:
            wanted = {"name", "lr", "regret_quadratic", "regret_interpolated", "cost_fraction", "flags"}
            assert wanted <= score.keys()
    assert len(pd.read_csv(out / "replay.csv")) == 2 * len(printed["targets"])
    assert (out / "kept.txt").read_text() == "mine"


def test_formulas_in_names_are_quoted_in_csv(tmp_path: Path) -> None:
    write(_replay(tmp_path, table().assign(family="=cmd()")), tmp_path / "out")
    assert set(pd.read_csv(tmp_path / "out" / "replay.csv").family) == {"'=cmd()"}


def test_held_out_everywhere_leaves_nothing_to_search(tmp_path: Path) -> None:
    runs = load_runs(save(table().assign(held_out=1), tmp_path / "runs.csv"))
    assert isinstance(runs, Runs)
    result = replay(runs, strategies=["economy", "random_3"])
    assert {score.lr is None for target in result.targets for score in target.strategies[:2]} == {True}
    assert all(target.strategies[2].lr is not None for target in result.targets)
