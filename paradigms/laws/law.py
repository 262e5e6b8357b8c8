"""Fits the law lr* = k N^-u D^-v B^w A^s to the best LRs of cells. arXiv 2601.05049 eq. 6 has it with N and D alone.

N is active or total parameters, or C = N_active D takes the place of N and D. The batch B (tokens per step) and
A = N_active / N_total enter if they are known and vary. Exponents have weak priors (design.py), the prefactor none.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lrladder.paradigms.laws.design import MIN_SPAN, Column, LawPoint, Place, Size
from lrladder.paradigms.laws.regression import Regression
from lrladder.paradigms.level import LEVEL, Z
from lrladder.paradigms.quantiles import t_quantile

__all__ = ["Exponent", "Law", "LawPoint", "Prediction", "fit_law"]

Array = NDArray[np.float64]

MIN_CLUSTERS = 4  # least sizes for a bootstrap over sizes; with fewer, resampled designs are too often singular
MAX_LEFT_OUT = 6  # how many of the largest sizes are left out in turn; assumption
BEND_Z = 2.0  # a squared term that is this many sds from zero counts as a bend, p = 0.05
OUTLIER_WEIGHT = 0.25  # Student weight below which a minimum, then 4 sds off the law, counts as an outlier; assumption


class Prediction(NamedTuple):
    """An LR and its prediction interval, at 90% unless another level is asked for."""

    lr: float
    lr_low: float
    lr_high: float


class Exponent(NamedTuple):
    """An exponent and its 90% interval. low and high are None if the exponent is that of the prior."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Law:
    """A fitted law, lr* = k N^-u D^-v B^w A^s, and a second form of it without the batch."""

    points: tuple[LawPoint, ...]
    regression: Regression
    without_batch: Regression  # the form for cells whose batch is not given
    exponents: Mapping[Column, Exponent]
    flags: tuple[str, ...]  # what weakens the law, in words
    flags_without_batch: tuple[str, ...]  # what weakens the form without the batch
    bootstrap: str  # of the exponents: "sizes", or "none" if there are too few sizes and the posterior is used

    def predict(
        self,
        n_active: float,
        tokens: float,
        *,
        n_total: float | None = None,
        batch_tokens: float | None = None,
        level: float = LEVEL,
    ) -> Prediction:
        """The LR at a cell and its prediction interval, which is wider far from the points and for few points.

        Without `batch_tokens` the form without the batch answers: it holds for batches like those of the points.
        """
        place = Place(n_active, tokens, n_total, batch_tokens)
        regression = self.answering(batch_tokens)
        return Prediction(*(math.exp(ln_lr) for ln_lr in regression.predict(place, level=level)))

    def answering(self, batch_tokens: float | None) -> Regression:
        """The form of the law that answers for this batch (None: not given)."""
        return self.without_batch if batch_tokens is None else self.regression

    def flags_by(self, batch_tokens: float | None) -> tuple[str, ...]:
        """What weakens the form of the law that answers for this batch, in words."""
        return self.flags_without_batch if batch_tokens is None else self.flags

    def flags_at(
        self, n_active: float, tokens: float, *, n_total: float | None = None, batch_tokens: float | None = None
    ) -> tuple[str, ...]:
        """What weakens a prediction at a cell, in words, in addition to `flags_by` its batch."""
        place = Place(n_active, tokens, n_total, batch_tokens)
        known = "batch" in self.regression.design.names
        flags: tuple[str, ...]
        if batch_tokens is None:
            flags = ("no batch size is given, so the law without the batch is used",) if known else ()
        elif not known:
            flags = ("the batch sizes of the runs are not known, so the law leaves the batch out",)
        else:
            flags = self._outside(place, "batch", f"no run searched a batch near {batch_tokens:,.0f} tokens")
        return flags + self._outside(place, "sparsity", "no run searched a sparsity near this one")

    def _outside(self, place: Place, column: Column, words: str) -> tuple[str, ...]:
        design = self.regression.design
        if column not in design.names:
            return ()
        tried = [point.place.log(column, design.size) for point in self.points]
        margin, wanted = math.log(MIN_SPAN), place.log(column, design.size)
        return () if min(tried) - margin < wanted < max(tried) + margin else (words,)

    @property
    def k(self) -> float:
        """Prefactor, in the units of the points."""
        return math.exp(self.regression.ln_k)

    @property
    def size(self) -> Size:
        """How N is counted."""
        return self.regression.design.size

    @property
    def n_points(self) -> int:
        """The number of points."""
        return len(self.points)

    @property
    def u(self) -> float:
        """Exponent of N, or of C if the law is in FLOPs."""
        return self.exponents["size"].value

    @property
    def u_low(self) -> float | None:
        """Low end of its interval."""
        return self.exponents["size"].low

    @property
    def u_high(self) -> float | None:
        """High end of its interval."""
        return self.exponents["size"].high

    @property
    def v(self) -> float:
        """Exponent of D, or of C if the law is in FLOPs."""
        return self._tokens.value

    @property
    def v_low(self) -> float | None:
        """Low end of its interval."""
        return self._tokens.low

    @property
    def v_high(self) -> float | None:
        """High end of its interval."""
        return self._tokens.high

    @property
    def _tokens(self) -> Exponent:
        return self.exponents["size" if self.size == "flops" else "tokens"]

    @cached_property
    def left_out(self) -> tuple[float, ...]:
        """RMS error in ln lr at each of the largest sizes, ascending, of a law fitted without it; empty for one."""
        return _left_out(self.points, self.size)


def fit_law(points: Sequence[LawPoint], *, n_boot: int = 1000, seed: int = 0, size: Size | None = None) -> Law:
    """Fit the law to `points`, which may have several batches.

    `size` says how N is counted; None: as predicts left-out sizes best. `n_boot` is the number of bootstrap samples.
    Raises ValueError without points, or for values that are not positive and finite.
    """
    _check(points)
    points = tuple(sorted(points, key=lambda point: [-1.0 if value is None else value for value in point]))
    size = size or _best_size(points)
    regression = Regression.of(points, size)
    models = len({point.place.model_key for point in points})
    draws = regression.resampled(points, n_boot, seed) if models >= MIN_CLUSTERS and n_boot > 1 else None
    without_batch = Regression.of(points, size, batch=False)
    return Law(
        points=points,
        regression=regression,
        without_batch=without_batch,
        exponents=_exponents(regression, draws, models),
        flags=_flags(points, regression, models),
        flags_without_batch=_flags(points, without_batch, models),
        bootstrap="none" if draws is None else "sizes",
    )


def _check(points: Sequence[LawPoint]) -> None:
    if not points:
        raise ValueError("a law needs at least one bracketed minimum")
    for point in points:
        counts = (point.n_active, point.tokens, point.n_total or 1.0, point.batch_tokens or 1.0)
        usable = math.isfinite(point.ln_lr) and 0 <= point.sd < math.inf
        if not usable or not all(0 < count < math.inf for count in counts):
            raise ValueError(f"{point}: counts must be positive and finite, ln_lr finite, and sd finite and at least 0")


def _best_size(points: Sequence[LawPoint]) -> Size:
    """How N is counted: for dense models as active parameters, for sparse ones as predicts left-out sizes best.

    If total size or sparsity varies too little to tell, it is counted as total parameters.
    """
    sparsity = [point.place.log("sparsity", "total") for point in points]
    if not any(sparsity):
        return "active"
    total = [point.place.log("size", "total") for point in points]
    if min(np.ptp(sparsity), np.ptp(total)) < math.log(MIN_SPAN):
        return "total"
    measures: tuple[Size, ...] = ("total", "active", "flops")
    return min(measures, key=lambda size: sum(error**2 for error in _left_out(points, size)))


def _left_out(points: Sequence[LawPoint], size: Size) -> tuple[float, ...]:
    models = sorted({point.place.model_key for point in points})
    errors = []
    for model in models[-MAX_LEFT_OUT:] if len(models) > 1 else ():
        law = Regression.of([point for point in points if point.place.model_key != model], size)
        misses = [law.predict(p.place)[0] - p.ln_lr for p in points if p.place.model_key == model]
        errors.append(math.sqrt(sum(miss**2 for miss in misses) / len(misses)))
    return tuple(errors)


def _exponents(regression: Regression, draws: Array | None, models: int) -> dict[Column, Exponent]:
    """The exponents by column. An interval is the wider one of the posterior's and the bootstrap's over models."""
    design, posterior = regression.design, regression.posterior
    half = Z * posterior.sd[1:]
    if draws is not None:
        half = np.maximum(half, t_quantile((1 + LEVEL) / 2, models - 1) * draws.std(axis=0))
    found: dict[Column, Exponent] = {}
    for i, name in enumerate(design.names):
        value = float(posterior.mean[1 + i]) * (-1 if name in ("size", "tokens") else 1)
        reach = float(half[i])
        ends = (value - reach, value + reach) if design.identified[i] else (None, None)
        found[name] = Exponent(value, *ends)
    return found


def _flags(points: Sequence[LawPoint], regression: Regression, models: int) -> tuple[str, ...]:
    """What weakens one form of the law."""
    return (
        *regression.design.flags([point.place for point in points], regression.posterior.sd[1:]),
        *_thin(points, regression, models),
        *_bends(points, regression),
        *_outliers(regression),
    )


def _thin(points: Sequence[LawPoint], regression: Regression, models: int) -> tuple[str, ...]:
    """Flags for few sizes or few points."""
    flags = []
    if regression.design.identified[0] and models < MIN_CLUSTERS:
        flags.append(f"the law rests on only {models} model sizes")
    constants = 1 + sum(regression.design.identified)
    if len(points) <= constants:
        flags.append(
            f"{len(points)} minima determine {constants} constants, so their scatter about the law is not measured"
        )
    return tuple(flags)


def _bends(points: Sequence[LawPoint], regression: Regression) -> tuple[str, ...]:
    """Flags for a squared term of ln N or ln D that differs from zero, so that a power law does not fit."""
    design, flags = regression.design, []
    for i, (name, symbol) in enumerate(zip(design.names, ("C" if design.size == "flops" else "N", "D"), strict=False)):
        if name not in ("size", "tokens") or not design.identified[i] or len(set(design.logs[:, i])) < 3:
            continue
        bent = Regression.of(points, design.size, batch="batch" in design.names, bend=i).posterior
        z = bent.mean[-1] / bent.sd[-1]
        if abs(z) > BEND_Z:
            flags.append(f"the law bends {'up' if z > 0 else 'down'} in ln {symbol} ({abs(z):.1f} sds)")
    return tuple(flags)


def _outliers(regression: Regression) -> tuple[str, ...]:
    n = int((regression.posterior.robustness < OUTLIER_WEIGHT).sum())
    return (
        (f"{n} minim{'um lies' if n == 1 else 'a lie'} far off the law and count{'s' * (n == 1)} little in the fit",)
        if n
        else ()
    )
