"""Gives an LR if no cell of a budgeted fit has a bracketed minimum: from its few runs, or from published laws.

The estimates are those that a replay within a budget falls back to (paradigms/strategies/fallback.py).
"""

from collections.abc import Sequence

from lrladder.benchmark.own_runs.fit_results import FitCell
from lrladder.paradigms.laws.law import LawPoint
from lrladder.paradigms.strategies.fallback import SPREAD, middle_published
from lrladder.paradigms.sweep.soft import soft_minimum


def soft_points(cells: Sequence[FitCell]) -> list[LawPoint]:
    """The likely best LR of each chosen cell with two finished LRs, by the usual curvature of a sweep."""
    points = []
    for cell in cells:
        center = middle_published(cell.n_active, cell.n_params, cell.tokens)
        soft = soft_minimum(cell.lrs, cell.losses, center=center, spread=SPREAD) if cell.chosen else None
        if soft is not None:
            points.append(LawPoint(cell.n_active, cell.tokens, soft.ln_lr, soft.sd, cell.n_params, cell.batch_tokens))
    return points


def few_flag(cells: Sequence[FitCell]) -> str:
    """The flag of an answer from such points."""
    chosen = [cell for cell in cells if cell.chosen]
    return (
        f"no minimum is bracketed within the budget, so {sum(len(cell.lrs) for cell in chosen)} runs of {len(chosen)} "
        "cells and the usual curvature of a sweep answer; raise --budget of `lrladder fit`"
    )
