"""The LR that a fitted law recommends for a model and horizon, its weaknesses, and the value of one more sweep."""

import json
import math
from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.own_runs.fit import law_points, loss_points
from lrladder.benchmark.own_runs.fit_results import FitResults
from lrladder.benchmark.recommend.anchor import Assumed, by_published, needs_exponents, said
from lrladder.benchmark.recommend.reach import require_reach
from lrladder.benchmark.recommend.sanity import Target, check_target
from lrladder.paradigms.extrapolation import far_flags
from lrladder.paradigms.laws.law import Law, LawPoint, Prediction, fit_law
from lrladder.paradigms.laws.loss_law import fit_loss_law
from lrladder.paradigms.published import FLOPS_PER_PARAMETER

SWEEP_LRS = 3  # LRs of a sweep that brackets a minimum
CHEAP = 0.25  # largest cost of one more cell, as a share of the target's FLOPs
STEPS = (1.0, 2.0, 4.0)  # factors on the largest searched size and horizon where one more cell may lie


class NextSweep(BaseModel):
    """One more cell with a sweep of SWEEP_LRS LRs, and the interval at the target that the law then expects."""

    model_config = ConfigDict(frozen=True)

    n_params: float
    n_active: float
    tokens: float
    batch_tokens: float | None
    cost_fraction: float  # FLOPs of the sweep / FLOPs of the target run
    octaves_before: float  # half width of the interval of log2 lr, without the sweep
    octaves_after: float


class Recommendation(BaseModel):
    """LR and loss with 90% intervals. `extrapolation`: FLOPs of the target / FLOPs of the largest fitted cell."""

    model_config = ConfigDict(frozen=True)

    lr: float
    lr_low: float
    lr_high: float
    loss: float | None
    loss_low: float | None
    loss_high: float | None
    extrapolation: float
    assumed: tuple[Assumed, ...] = ()  # by published exponents, where the runs tell none
    next_sweep: NextSweep | None
    flags: tuple[str, ...]

    def to_json(self) -> str:
        return json.dumps(self.model_dump(mode="json"), indent=2)


def recommend(results: FitResults, target: Target, *, force: bool = False) -> Recommendation:
    """The recommendation. Raises InputError for a target that is invalid or too far, or if there is no minimum."""
    points = law_points(results.cells)
    if not points:
        raise InputError(f"{results.source}: no cell has a bracketed minimum, so there is no law; see its cells' flags")
    odd = check_target(target, points)
    law = fit_law(points)
    found = _predict(law, target)
    assumed = by_published(points, target) if needs_exponents(law) else ()
    loss_law = fit_loss_law(loss_points(results.cells))
    # if the cells do not determine the law, it fits them exactly, and its interval says nothing
    loss = loss_law.predict(target.active, target.tokens) if loss_law and not loss_law.flags else None
    extrapolation = target.flops / max(FLOPS_PER_PARAMETER * point.n_active * point.tokens for point in points)
    far = require_reach(extrapolation, forced=force)
    return Recommendation(
        lr=found.lr,
        lr_low=found.lr_low,
        lr_high=found.lr_high,
        loss=loss.loss if loss else None,
        loss_low=loss.low if loss else None,
        loss_high=loss.high if loss else None,
        extrapolation=extrapolation,
        assumed=assumed,
        next_sweep=_next_sweep(law, target),
        flags=(
            *far,
            *odd,
            *said(assumed),
            *law.flags_by(target.batch_tokens),
            *law.flags_at(target.active, target.tokens, n_total=target.n_params, batch_tokens=target.batch_tokens),
            *far_flags(extrapolation),
            *([] if loss_law is None else [f"no loss is predicted: {flag}" for flag in loss_law.flags]),
            *results.flags,
        ),
    )


def _predict(law: Law, target: Target) -> Prediction:
    return law.predict(target.active, target.tokens, n_total=target.n_params, batch_tokens=target.batch_tokens)


def _half(law: Law, target: Target) -> float:
    found = _predict(law, target)
    return math.log2(found.lr_high / found.lr_low) / 2


def _next_sweep(law: Law, target: Target) -> NextSweep | None:
    """The affordable cell that narrows the interval at the target most per FLOP; None if none narrows it."""
    before = _half(law, target)
    sd = sorted(point.sd for point in law.points)[len(law.points) // 2]
    best: tuple[float, NextSweep] | None = None
    for place in _candidates(law, target):
        guess = law.predict(place.n_active, place.tokens, n_total=place.n_total, batch_tokens=place.batch_tokens).lr
        added = place._replace(ln_lr=math.log(guess), sd=sd)
        after = _half(fit_law([*law.points, added], n_boot=0, size=law.size), target)
        cost = SWEEP_LRS * place.n_active * place.tokens / (target.active * target.tokens)
        gain = (before - after) / cost
        if after < before and (best is None or gain > best[0]):
            best = (
                gain,
                NextSweep(
                    n_params=place.n_total or place.n_active,
                    n_active=place.n_active,
                    tokens=place.tokens,
                    batch_tokens=place.batch_tokens,
                    cost_fraction=cost,
                    octaves_before=before,
                    octaves_after=after,
                ),
            )
    return best[1] if best else None


def _candidates(law: Law, target: Target) -> Iterator[LawPoint]:
    """Searched and larger sizes, with the sparsity of the target, at searched and longer horizons."""
    largest = max(law.points, key=lambda point: point.n_active)
    horizons = sorted({point.tokens for point in law.points})
    known = {(point.n_active, point.tokens) for point in law.points}
    for step in STEPS:
        n_active = largest.n_active * step
        n_total = (largest.n_total or largest.n_active) * step
        for tokens in (horizons[0], horizons[len(horizons) // 2], horizons[-1], 2 * horizons[-1]):
            affordable = n_active * tokens <= CHEAP * target.active * target.tokens
            if affordable and (n_active, tokens) not in known:
                yield LawPoint(n_active, tokens, 0.0, 0.0, n_total, target.batch_tokens)


def words(found: Recommendation) -> str:
    """The recommendation as text."""
    lines = [f"lr {found.lr:.4g}, 90% interval {found.lr_low:.4g} to {found.lr_high:.4g}"]
    if found.loss is not None:
        lines.append(f"loss {found.loss:.4f} nats, 90% interval {found.loss_low:.4f} to {found.loss_high:.4f}")
    lines += [f"assumed, exponents of {one.source}: lr {one.lr:.4g} ({one.convention})" for one in found.assumed]
    lines.append(f"extrapolation {found.extrapolation:.3g}x in FLOPs over the largest cell fitted")
    if found.next_sweep is not None:
        sweep = found.next_sweep
        lines.append(
            f"one more sweep, of {SWEEP_LRS} LRs at N {sweep.n_params:.4g}, D {sweep.tokens:.4g}, costs "
            f"{sweep.cost_fraction:.2g} target runs and narrows the interval from +-{sweep.octaves_before:.2f} to "
            f"+-{sweep.octaves_after:.2f} octaves"
        )
    lines += [f"flag: {flag}" for flag in found.flags]
    return "\n".join(lines)
