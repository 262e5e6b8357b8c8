"""Chooses the sweep to run next: the one that narrows the interval at the target most per FLOP, within a budget."""

import math
from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ConfigDict

from lrladder.benchmark.recommend.sanity import Target
from lrladder.paradigms.laws.design import Place
from lrladder.paradigms.laws.law import Law, LawPoint
from lrladder.paradigms.laws.regression import Regression

SWEEP_LRS = 3  # LRs of a sweep: as many as can bracket a minimum
CHEAP = 0.25  # largest cost of one run of the next cell, as a share of the target's FLOPs; assumption
STEPS = (1.0, 2.0, 4.0)  # factors on the largest searched size that the next cell may have; assumption
SWEEP_FACTOR = 2.0  # ratio of neighbouring LRs, as in most public sweeps
SHORT = 1 / 3  # share of the shortest searched horizon below which the law hardly holds; assumption
MAX_SIZES = 6  # searched sizes that are considered for the next cell, for speed


class NextSweep(BaseModel):
    """One more cell with a sweep of SWEEP_LRS LRs, and the interval at the target that the law then expects."""

    model_config = ConfigDict(frozen=True)

    n_params: float
    n_active: float
    tokens: float
    batch_tokens: float | None
    lrs: tuple[float, ...]  # around the best LR that the law expects there
    cost_fraction: float  # FLOPs of the sweep / FLOPs of the target run
    octaves_before: float  # half width of the interval of log2 lr, without the sweep
    octaves_after: float


def _half(regression: Regression, target: Target) -> float:
    """Half width of the interval at the target, in octaves."""
    _, low, high = regression.predict(Place(target.active, target.tokens, target.n_params, target.batch_tokens))
    return (high - low) / 2 / math.log(2)


def next_sweep(law: Law, target: Target, budget: float | None) -> NextSweep:
    """The sweep within `budget` target runs that narrows the interval at the target most per FLOP.

    If no candidate is cheap enough, it is the smallest size, at the longest horizon that the budget allows.
    """
    before = _half(law.answering(target.batch_tokens), target)
    sd = sorted(point.sd for point in law.points)[len(law.points) // 2]
    share = SWEEP_LRS * CHEAP if budget is None else min(budget, SWEEP_LRS * CHEAP)
    places = [place for place in _candidates(law, target) if _cost(place, target) <= share * (1 + 1e-9)]
    found = [_priced(law, target, place, sd, before) for place in places or [_cheapest(law, target, share)]]
    return max(found, key=lambda sweep: (sweep.octaves_before - sweep.octaves_after) / sweep.cost_fraction)


def too_short(sweep: NextSweep, points: Sequence[LawPoint]) -> Iterator[str]:
    """A flag if the sweep is far shorter than all searched horizons."""
    shortest = min(point.tokens for point in points)
    if sweep.tokens < shortest * SHORT:
        yield (
            f"the budget only allows a next sweep of {sweep.tokens:.3g} tokens, far below all searched horizons; "
            "raise --budget"
        )


def _cost(place: LawPoint, target: Target) -> float:
    """The cost of a sweep, in target runs."""
    return SWEEP_LRS * place.n_active * place.tokens / (target.active * target.tokens)


def _priced(law: Law, target: Target, place: LawPoint, sd: float, before: float) -> NextSweep:
    guess = law.predict(place.n_active, place.tokens, n_total=place.n_total, batch_tokens=place.batch_tokens).lr
    added = place._replace(ln_lr=math.log(guess), sd=sd)
    with_batch = law.answering(target.batch_tokens) is law.regression
    return NextSweep(
        n_params=place.n_total or place.n_active,
        n_active=place.n_active,
        tokens=place.tokens,
        batch_tokens=place.batch_tokens,
        lrs=tuple(guess * SWEEP_FACTOR**k for k in range(-(SWEEP_LRS // 2), SWEEP_LRS // 2 + 1)),
        cost_fraction=_cost(place, target),
        octaves_before=before,
        octaves_after=_half(Regression.of([*law.points, added], law.size, batch=with_batch), target),
    )


def _candidates(law: Law, target: Target) -> Iterator[LawPoint]:
    """Searched and larger sizes at searched and longer horizons, without the cells that were searched."""
    sizes = sorted({(point.n_active, point.n_total or point.n_active) for point in law.points})
    largest = sizes[-1]
    thinned = sizes[:: -(-len(sizes) // MAX_SIZES)]
    horizons = sorted({point.tokens for point in law.points})
    known = {(point.n_active, point.tokens) for point in law.points}
    for n_active, n_total in sorted({*thinned, *((largest[0] * step, largest[1] * step) for step in STEPS)}):
        for tokens in sorted({horizons[0], horizons[len(horizons) // 2], horizons[-1], 2 * horizons[-1]}):
            if (n_active, tokens) not in known:
                yield LawPoint(n_active, tokens, 0.0, 0.0, n_total, target.batch_tokens)


def _cheapest(law: Law, target: Target, share: float) -> LawPoint:
    small = min(law.points, key=lambda point: point.n_active)
    tokens = share * target.active * target.tokens / (SWEEP_LRS * small.n_active)
    return LawPoint(small.n_active, tokens, 0.0, 0.0, small.n_total, target.batch_tokens)


def words(sweep: NextSweep) -> str:
    """The sweep in one line."""
    lrs = ", ".join(f"{lr:.3g}" for lr in sweep.lrs)
    return (
        f"next sweep: LRs {lrs} at N {sweep.n_params:.4g}, D {sweep.tokens:.4g}; it costs {sweep.cost_fraction:.2g} "
        f"target runs and narrows the interval from +-{sweep.octaves_before:.2f} to +-{sweep.octaves_after:.2f} octaves"
    )
