"""Fits the loss at the best LR against size and tokens, in the form that best predicts the largest cells, left out."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lrladder.paradigms.laws.design import MIN_SPAN
from lrladder.paradigms.laws.loss_forms import FORMS, Form
from lrladder.paradigms.level import LEVEL
from lrladder.paradigms.quantiles import t_quantile

Array = NDArray[np.float64]

CUTS = (
    4.0,
    10.0,
)  # cells with more than the largest FLOPs / cut are left out and predicted from the others; assumption
MIN_SPARE = 1  # a form is only judged by its misses if it is fitted to this many more cells than constants; assumption
MIN_CELLS = 7  # with fewer cells the law gets a flag, as the scatter is hardly known; assumption
BETTER = 0.9  # a simpler form is chosen if its rms miss is below this share of that of the power form; assumption
# A prior for misses beyond the cells: rms miss of log loss per e-fold of FLOPs, and the number of measured misses that
# it counts as. Assumption: published laws miss by about 0.5% at 4 to 10 times the FLOPs.
USUAL_MISS, USUAL_WORTH = 0.0025, 2
# The same prior for the rms miss of log loss at a size without a cell. Assumption: if each size of a public table is
# left out, the law of the others misses it by 0.1 to 1.1% (docs/fitting.md).
SIZE_MISS = 0.01
# The same prior for the scatter of log loss about the law. Assumption: the noise of a minimum and what the form misses.
USUAL_SCATTER = 0.001
SAME_SIZE = 0.02  # |ln ratio| up to which two sizes count as the same; assumption
MAX_LEFT_OUT = 6  # sizes that are left out in turn; assumption: more would say little more
MEDIAN_SD = 0.6745  # median distance from the mean of a normal distribution, in sds


class LossPoint(NamedTuple):
    """One cell: size, tokens and the loss at its best LR."""

    n: float
    tokens: float
    loss: float


class LossPrediction(NamedTuple):
    """A loss and its 90% interval."""

    loss: float
    low: float
    high: float


class Missed(NamedTuple):
    """How much a law fitted to smaller cells missed the larger ones, which it had not seen."""

    rms: float  # of log loss
    reach: float  # mean ln (FLOPs of a missed cell / FLOPs of the largest fitted cell)
    n: int  # number of missed cells


class Spread(NamedTuple):
    """An sd of log loss, and the degrees of freedom of its estimate."""

    sd: float
    dof: float


def half_width(*parts: Spread) -> float:
    """Half width of the interval of a sum of independent errors, with degrees of freedom by Satterthwaite."""
    variance = sum(part.sd**2 for part in parts)
    doubt = sum(part.sd**4 / part.dof for part in parts)
    dof = variance**2 / doubt if doubt else math.inf
    return t_quantile((1 + LEVEL) / 2, dof) * math.sqrt(variance)


@dataclass(frozen=True)
class LossLaw:
    """A fitted law of the loss at the best LR."""

    form: Form
    constants: Array  # [6], NAMES of loss_forms
    center: tuple[float, float]  # units of N and D in the constants
    largest: float  # N D of the largest cell, in the units of the points
    scatter: Spread  # of the cells about the law
    missed: dict[str, Missed]  # by form, if there are enough cells to judge it
    sizes: tuple[float, ...]  # of the cells
    size_miss: Spread  # of the law at a size without a cell
    n_points: int
    draws: Array  # [draws, 6], constants of refits to resampled cells
    flags: tuple[str, ...]

    def predict(self, n: float, tokens: float) -> LossPrediction:
        """The loss at the best LR, with the 90% interval of a measurement.

        The interval has three parts: the spread of the refits, the scatter of the cells, and how much the law missed
        cells that were left out. The last is that beyond the largest cell or that at a new size, whichever is larger.
        """
        x, z = np.array([math.log(n / self.center[0])]), np.array([math.log(tokens / self.center[1])])
        own = float(self.form.log_loss(self.constants, x, z)[0][0])
        logs = np.array([self.form.log_loss(draw, x, z)[0][0] for draw in self.draws]) - own
        drawn = (
            float(np.median(np.abs(logs))) / MEDIAN_SD if len(logs) else 0.0
        )  # robust: some refits determine nothing
        is_new = all(abs(math.log(n / size)) > SAME_SIZE for size in self.sizes)
        known = (Spread(drawn, math.inf), self.scatter)
        half = max(half_width(*known, away) for away in (self._beyond(n * tokens), *([self.size_miss] * is_new)))
        return LossPrediction(*(math.exp(own + off) for off in (0.0, -half, half)))

    def _beyond(self, n_d: float) -> Spread:
        """How far the law may miss at this N D, in proportion to ln of the distance from the cells."""
        found = self.missed.get(self.form.name)
        rate, n = (found.rms / found.reach, found.n) if found else (0.0, 0)
        per_fold = math.sqrt((n * rate**2 + USUAL_WORTH * USUAL_MISS**2) / (n + USUAL_WORTH))
        return Spread(per_fold * max(0.0, math.log(n_d / self.largest)), n + USUAL_WORTH)

    @property
    def gamma(self) -> float:
        """The power g; 1 for the other forms."""
        return math.exp(self.constants[5])

    @property
    def floor(self) -> float:
        """The floor E, in the unit of the losses."""
        return math.exp(self.constants[0])

    @property
    def alpha(self) -> float:
        """Exponent of N."""
        return float(self.constants[3] / self.gamma)

    @property
    def beta(self) -> float:
        """Exponent of D."""
        return float(self.constants[4] / self.gamma)

    @property
    def miss(self) -> float:
        """RMS miss of log loss at the left-out largest cells; 0 if there are too few cells to leave any out."""
        found = self.missed.get(self.form.name)
        return found.rms if found else 0.0


def fit_loss_law(points: Sequence[LossPoint], *, n_boot: int = 50, seed: int = 0) -> LossLaw | None:
    """Fit the form that misses the left-out largest cells least to all cells; None for fewer than three cells.

    `n_boot` is the number of refits to resampled cells. Raises ValueError for values that are not positive and finite.
    """
    if any(not 0 < value < math.inf for point in points for value in point):
        raise ValueError("sizes, tokens and losses must be positive and finite")
    if len(points) < 3:
        return None
    n, d, y = (np.log([float(point[i]) for point in points]) for i in range(3))
    center = (float(n.mean()), float(d.mean()))
    x, z, level = n - center[0], d - center[1], float(y.mean())
    missed = {name: found for name, form in FORMS.items() if (found := _missed(form, x, z, y - level)) is not None}
    form = _chosen(missed)
    best = form.fit(x, z, y - level)
    rng = np.random.default_rng(seed)
    draws = [_resampled(form, x, z, y - level, best, rng) for _ in range(n_boot)]
    residuals = y - level - form.log_loss(best, x, z)[0]
    dof = max(0, len(points) - form.n_constants) + USUAL_WORTH
    shift = np.array([level, level, level, 0.0, 0.0, 0.0])
    return LossLaw(
        form=form,
        constants=best + shift,
        center=(math.exp(center[0]), math.exp(center[1])),
        largest=math.exp(float((n + d).max())),
        scatter=Spread(math.sqrt((float((residuals**2).sum()) + USUAL_WORTH * USUAL_SCATTER**2) / dof), dof),
        missed=missed,
        sizes=tuple(sorted({point.n for point in points})),
        size_miss=_size_miss(form, x, z, y - level, best),
        n_points=len(points),
        draws=np.array(draws).reshape(-1, len(best)) + shift,
        flags=tuple(_flags(n, d, len(points))),
    )


def _chosen(missed: dict[str, Missed]) -> Form:
    """The power form, unless another one misses clearly less. The others are limits of the power form."""
    least = min(missed, key=lambda name: missed[name].rms, default="power")
    clear = "power" in missed and missed[least].rms < BETTER * missed["power"].rms
    return FORMS[least if clear else "power"]


def _missed(form: Form, x: Array, z: Array, y: Array) -> Missed | None:
    """The misses of a form, fitted to smaller cells, at larger ones, over all CUTS; None if too few cells are left."""
    size = x + z
    misses: list[float] = []
    reaches: list[float] = []
    for cut in CUTS:
        small = size <= size.max() - math.log(cut) + 1e-9
        if small.sum() < form.n_constants + MIN_SPARE or not _tell(x[small], z[small]):
            continue
        found = form.fit(x[small], z[small], y[small])
        misses += list(form.log_loss(found, x[~small], z[~small])[0] - y[~small])
        reaches += list(size[~small] - size[small].max())
    if not misses:
        return None
    return Missed(math.sqrt(float(np.mean(np.square(misses)))), float(np.mean(reaches)), len(misses))


def _size_miss(form: Form, x: Array, z: Array, y: Array, start: Array) -> Spread:
    """How far the law misses a new size: the rms miss of sizes left out in turn, averaged with its prior."""
    found = []
    sizes = np.unique(x)
    for size in sizes[-MAX_LEFT_OUT:] if len(sizes) > 2 else ():
        rest = x != size
        if rest.sum() >= form.n_constants and _tell(x[rest], z[rest]):
            constants = form.fit(x[rest], z[rest], y[rest], start=start)
            found.append(float(np.mean((form.log_loss(constants, x[~rest], z[~rest])[0] - y[~rest]) ** 2)))
    dof = len(found) + USUAL_WORTH
    return Spread(math.sqrt((sum(found) + USUAL_WORTH * SIZE_MISS**2) / dof), dof)


def _tell(x: Array, z: Array) -> bool:
    """Whether sizes and horizons both vary enough to determine their exponents."""
    return bool(min(np.ptp(x), np.ptp(z)) >= math.log(MIN_SPAN))


def _resampled(form: Form, x: Array, z: Array, y: Array, start: Array, rng: np.random.Generator) -> Array:
    """The constants [6] of a refit to resampled cells, which begins at the best fit."""
    weights = np.bincount(rng.integers(len(x), size=len(x)), minlength=len(x)).astype(float)
    return form.fit(x, z, y, start=start, weights=weights)


def _flags(n: Array, d: Array, count: int) -> Iterator[str]:
    if np.ptp(n) < math.log(MIN_SPAN):
        yield f"the cells do not determine alpha (minus the exponent of N): all sizes lie within {MIN_SPAN:g}x"
    if np.ptp(d) < math.log(MIN_SPAN):
        yield f"the cells do not determine beta (minus the exponent of D): all horizons lie within {MIN_SPAN:g}x"
    if count < MIN_CELLS:
        yield f"only {count} cells determine {FORMS['power'].n_constants} constants"
