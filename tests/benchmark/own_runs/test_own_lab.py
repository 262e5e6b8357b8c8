"""The replayed lab: only runs that were made, each charged once."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lrladder.benchmark.own_runs.cells import RunCell, cells
from lrladder.benchmark.own_runs.lab import ReplayedLab, rungs_of
from lrladder.benchmark.own_runs.runs import load_runs
from lrladder.paradigms.lab import Request, Rung
from tests.benchmark.own_runs.run_tables import save, table


@pytest.fixture
def found(tmp_path: Path) -> tuple[RunCell, ...]:
    data = table().assign(seed=0)
    data.loc[0, "loss"] = np.nan
    data.loc[len(data)] = data.loc[1].to_dict() | {"loss": data.loss[1] + 0.5, "seed": 1}
    return cells(load_runs(save(data, tmp_path / "runs.csv")))


@pytest.fixture
def lab(found: tuple[RunCell, ...]) -> ReplayedLab:
    return ReplayedLab(_rungs(found), found)


def _rungs(found: tuple[RunCell, ...]) -> tuple[Rung, ...]:
    sources, target = rungs_of(found[:-1], found[-1])
    return (*sources, target)


def _ask(rung: Rung, lr: float) -> Request:
    return Request(rung.name, "sp", lr, 0, rung.horizons)


def test_it_answers_with_the_table(lab: ReplayedLab, found: tuple[RunCell, ...]) -> None:
    for rung, cell in zip(_rungs(found)[1:], found[1:], strict=True):
        assert lab.lrs(rung.name) == cell.lrs
        runs = lab.measure([_ask(rung, lr) for lr in cell.lrs], payer="a")
        assert [run[0].loss for run in runs] == list(cell.losses)
        assert rung.horizons == (cell.tokens,)


def test_replicates_are_averaged_and_paid_each(lab: ReplayedLab, found: tuple[RunCell, ...]) -> None:
    rung, cell = _rungs(found)[0], found[0]
    requests = [_ask(rung, lr) for lr in lab.lrs(rung.name)[:2]]
    (diverged,), (twice,) = lab.measure(requests, payer="a")
    assert (diverged.verdict, diverged.loss) == ("diverged", None)
    assert twice.loss == pytest.approx(sum(loss for loss in cell.losses[1:3] if loss) / 2)
    assert lab.cost_flops("a") == sum(map(lab.flops, requests)) == 3 * cell.flops


def test_a_run_is_charged_once_to_each_payer(lab: ReplayedLab, found: tuple[RunCell, ...]) -> None:
    request = _ask(_rungs(found)[1], found[1].lrs[4])
    for _ in range(2):
        lab.measure([request, request], payer="a")
    lab.measure([request._replace(seed=1)], payer="b")
    assert (lab.cost_flops("a"), lab.cost_flops("b"), lab.cost_flops("c")) == (found[1].flops, found[1].flops, 0)


def test_what_was_never_run_is_refused(lab: ReplayedLab, found: tuple[RunCell, ...]) -> None:
    good = _ask(_rungs(found)[1], found[1].lrs[0])
    for bad, said in (
        (good._replace(lr=good.lr * 1.1), "no run at LR"),
        (good._replace(rung="elsewhere"), "no runs of 'elsewhere'"),
        (good._replace(horizons=(7,)), r"runs are of 4,000,000,000 tokens, not \(7,\)"),
        (good._replace(role_lrs=(("head", 2.0),)), "one LR for all roles"),
    ):
        with pytest.raises(ValueError, match=said):
            lab.measure([good, bad], payer="a")
    assert lab.cost_flops("a") == 0


def test_counts_that_are_not_whole_keep_their_ratios(found: tuple[RunCell, ...]) -> None:
    odd = tuple(
        replace(cell, n_params=cell.n_params / 7e6, n_active=cell.n_active / 7e6, tokens=cell.tokens / 3e9)
        for cell in found
    )
    for rung, cell in zip(_rungs(odd), odd, strict=True):
        first = _rungs(odd)[0]
        assert rung.n_active / first.n_active == pytest.approx(cell.n_active / odd[0].n_active, rel=1e-8)
        assert rung.horizons[0] / first.horizons[0] == pytest.approx(cell.tokens / odd[0].tokens, rel=1e-8)
