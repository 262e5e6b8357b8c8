"""Computes what a wrong LR costs: loss at both ends of the interval, extra tokens, and how near runs blew up."""

import math
from collections.abc import Sequence
from statistics import median

import numpy as np
from pydantic import BaseModel, ConfigDict

from lrladder.benchmark.own_runs.fit_results import FitCell
from lrladder.benchmark.recommend.sanity import Target
from lrladder.paradigms.laws.law import Prediction
from lrladder.paradigms.laws.loss_law import LossLaw
from lrladder.paradigms.sweep.swept import BLOWN_UP

MOST = 10.0  # factor on the tokens of the run beyond which more tokens are not a remedy; assumption
TERA, HOUR = 1e12, 3600.0


class End(BaseModel):
    """One end of the interval: its LR, what it costs in loss (nats), and what makes up for it; None if not known."""

    model_config = ConfigDict(frozen=True)

    lr: float
    rise: float
    extra_tokens: float | None  # as a share of the run's tokens
    gpu_hours: float | None  # of these tokens


class Margin(BaseModel):
    """How far above the best LR of a cell the first LR is at which a run diverged or blew up, over all cells."""

    model_config = ConfigDict(frozen=True)

    least: float | None  # octaves, the smallest of any cell; None if no run above a best LR diverged
    n_diverged: int  # cells with such an LR
    n_cells: int
    reached: float  # octaves by which the LR of a finished run is above the best LR of its cell, at most


class Mistake(BaseModel):
    """What the recommended LR costs if the true best LR is at the `low` or the `high` end of the interval.

    The loss is taken as a parabola in ln lr, so only the distance between the two LRs matters.
    """

    model_config = ConfigDict(frozen=True)

    curvature: float  # nats per (ln lr)^2, median of `n_cells` cells
    n_cells: int
    spread: float  # ratio of the 90th to the 10th percentile of their curvatures
    low: End
    high: End
    margin: Margin


def mistake_of(
    cells: Sequence[FitCell], found: Prediction, target: Target, law: LossLaw | None, *, tflops: float | None
) -> Mistake | None:
    """What a wrong LR costs at a target; None if no cell has a fitted curve.

    `found` is the LR with its interval, `law` that of the loss, and `tflops` what one GPU sustains.
    """
    curved = [cell.curvature for cell in cells if cell.chosen and cell.status == "interior" and cell.curvature]
    if not curved:
        return None
    curvature = median(curved)
    low, high = (_end(lr, found.lr, curvature, target, law, tflops) for lr in (found.lr_low, found.lr_high))
    q10, q90 = np.quantile(curved, (0.1, 0.9))
    return Mistake(
        curvature=curvature,
        n_cells=len(curved),
        spread=float(q90 / q10),
        low=low,
        high=high,
        margin=margin_of(cells),
    )


def _end(lr: float, best: float, curvature: float, target: Target, law: LossLaw | None, tflops: float | None) -> End:
    rise = curvature * math.log(lr / best) ** 2
    extra = None if law is None else extra_tokens(law, target, rise)
    hours = None if extra is None or tflops is None else extra * target.flops / (tflops * TERA * HOUR)
    return End(lr=lr, rise=rise, extra_tokens=extra, gpu_hours=hours)


def extra_tokens(law: LossLaw, target: Target, rise: float) -> float | None:
    """The additional tokens, as a share of the run's, that lower the loss at the best LR by `rise` nats.

    None if even MOST times the tokens do not.
    """

    def gained(times: float) -> float:
        before, after = (law.predict(target.active, target.tokens * t).loss for t in (1.0, times))
        return before - after

    if gained(MOST) < rise:
        return None
    low, high = 1.0, MOST
    for _ in range(40):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if gained(middle) < rise else (low, middle)
    return high - 1


def margin_of(cells: Sequence[FitCell]) -> Margin:
    """The margin over the chosen cells that have a best LR."""
    closed = [cell for cell in cells if cell.chosen and cell.lr_best is not None]
    first = [octaves for cell in closed if (octaves := _first_blow_up(cell)) is not None]
    reached = [math.log2(lr / cell.lr_best) for cell in closed for lr in _finished(cell) if cell.lr_best is not None]
    return Margin(
        least=min(first, default=None), n_diverged=len(first), n_cells=len(closed), reached=max(reached, default=0.0)
    )


def _first_blow_up(cell: FitCell) -> float | None:
    assert cell.lr_best is not None
    finished = _finished(cell)
    gone = [lr for lr in cell.lrs if lr not in finished and lr > cell.lr_best]
    return math.log2(min(gone) / cell.lr_best) if gone else None


def _finished(cell: FitCell) -> set[float]:
    """The LRs at which every run finished and none blew up."""
    known = [loss for loss in cell.losses if loss is not None]
    limit = min(known, default=0.0) * (1 + BLOWN_UP)
    pairs = list(zip(cell.lrs, cell.losses, strict=True))
    return {lr for lr, _ in pairs} - {lr for lr, loss in pairs if loss is None or loss > limit}


def words(found: Mistake, lr_high: float, lr: float) -> list[str]:
    """The costs in words, one sentence per line."""
    lines = [
        f"if the best LR is in truth {end.lr:.4g}, this one costs {_price(end)}" for end in (found.low, found.high)
    ]
    lines.append(
        f"both costs are by the median curvature of {found.n_cells} cells; 80% of these lie within {found.spread:.1f}x"
    )
    margin = found.margin
    above = math.log2(lr_high / lr)
    if margin.least is None:
        return [
            *lines,
            f"no run diverged: LRs up to {margin.reached:.1f} octaves above the best of their cell finished",
        ]
    told = (
        f"runs diverged from {margin.least:.1f} octaves above the best LR on ({margin.n_diverged} of {margin.n_cells}"
    )
    return [*lines, f"{told} cells); the upper end of the interval is {above:.1f} octaves above this LR"]


def _price(end: End) -> str:
    cost = f"{1e3 * end.rise:.2g} millinats"
    if end.extra_tokens is None:
        return cost
    hours = "" if end.gpu_hours is None else f" ({end.gpu_hours:,.3g} GPU-hours)"
    return f"{cost}, which {100 * end.extra_tokens:.2g}% more tokens make up for{hours}"
