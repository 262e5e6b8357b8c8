"""Does a shorter decay make the best LR fall more steeply? The drifts of an axis against the decay fraction."""

import math
from collections.abc import Mapping, Sequence

from lrladder.benchmark.studies.drift.config import OFF
from lrladder.benchmark.studies.drift.drift import Drift, Optimum, Scatter, fit_drift
from lrladder.benchmark.studies.drift.results import DecayAnswer, DecayPoint, DecayResult, VariantResult
from lrladder.paradigms.level import LEVEL

MINUS = "\N{MINUS SIGN}"


def decay_result(
    variants: Sequence[VariantResult], fractions: Mapping[str, float], own: float, scatter: Scatter
) -> DecayResult | None:
    """Of the variants that differ from `off` in their decay fraction alone, `off` having the fraction `own`.

    A line through the drifts against log2 of the fraction, weighted by their sds; `scatter` is the one that their
    intervals rest on. The drifts are taken to be independent: they share seeds and text, so the slope of the line is
    better known than its interval says. None without two drifts.
    """
    off = next(variant for variant in variants if variant.name == OFF)
    alike = {OFF: own} | {v.name: fractions[v.name] for v in variants if v.name in fractions and v.rules == off.rules}
    points = [point for v in variants if v.name in alike and (point := _point(v, alike[v.name])) is not None]
    quantile = scatter.quantile(LEVEL)
    drifts = [Optimum(math.log2(p.fraction), p.drift, (p.high - p.low) / 2 / quantile) for p in points]
    line = fit_drift(drifts, scatter=scatter, sd_floor=0.0)
    if line is None:
        return None
    answer = _answer(line)
    return DecayResult(
        points=tuple(sorted(points, key=lambda p: p.fraction)),
        slope=line.slope,
        slope_low=line.low,
        slope_high=line.high,
        at_whole=line.at_base,
        answer=answer,
        sentence=_sentence(line, answer, points),
    )


def _point(variant: VariantResult, fraction: float) -> DecayPoint | None:
    if variant.drift is None or variant.drift_low is None or variant.drift_high is None:
        return None
    return DecayPoint(
        variant=variant.name,
        fraction=fraction,
        drift=variant.drift,
        low=variant.drift_low,
        high=variant.drift_high,
        n_optima=variant.n_optima,
        n_runs=sum(point.n for point in variant.points if point.lr_best is not None),
    )


def _answer(line: Drift) -> DecayAnswer:
    """A longer decay raises the drift, which is negative where the best LR falls, if a shorter one is steeper."""
    if line.low > 0:
        return "steeper"
    return "less steep" if line.high < 0 else "not decided"


def _sentence(line: Drift, answer: DecayAnswer, points: Sequence[DecayPoint]) -> str:
    told = {
        "steeper": "The shorter the decay, the more steeply the best LR falls",
        "less steep": "The shorter the decay, the less steeply the best LR falls",
        "not decided": "These runs do not decide whether the best LR falls more steeply where the decay is shorter",
    }[answer]
    interval = f"{line.slope:+.2f} [{line.low:+.2f}, {line.high:+.2f}]"
    n = f"n = {len(points)} decay fractions, {sum(p.n_optima for p in points)} minima"
    return f"{told}: the drift changes by {interval} octaves when the decay fraction doubles ({n}).".replace("-", MINUS)
