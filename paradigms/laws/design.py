"""The design of a fit of lr* = k N^-u D^-v B^w A^s: its columns and priors, and which exponents the cells determine."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Size = Literal["active", "total", "flops"]  # what N is; with "flops" the law is in C = N_active D alone
Column = Literal["size", "tokens", "batch", "sparsity"]

MIN_SPAN = 1.5  # assumption: a ratio of sizes or horizons below this does not identify an exponent
OPTIMUM_SD = 0.05  # of ln lr*; assumption: even a noiseless parabola is off by about this much (0.04-0.12 octaves)
MAX_CORRELATION = 0.99  # of a log column with the others; assumption: beyond it exponents are not told apart
LEANING = 0.7  # sd of an exponent / sd of its prior, above which about half of the exponent comes from the prior
WORDS: dict[Column, tuple[str, str]] = {
    "size": ("u (minus the exponent of size)", "size"),
    "tokens": ("v (minus the exponent of tokens)", "horizon"),
    "batch": ("w (the exponent of the batch)", "batch size"),
    "sparsity": ("s (the exponent of active over total parameters)", "sparsity"),
}


class Slope(NamedTuple):
    """A weak normal prior of a slope of ln lr*. Exponents have one; the prefactor has none."""

    mean: float
    sd: float


# Rounded means and spreads of the exponents in published.py, all within 2 sds. That of D is at a given batch.
PRIORS: dict[Column, Slope] = {
    "size": Slope(-0.45, 0.25),
    "tokens": Slope(-0.2, 0.2),
    "batch": Slope(0.5, 0.25),
    "sparsity": Slope(0.1, 0.2),
}
# For D if the law has no batch and the batch grows with D (the best LR then falls less); and if that is not known.
MOVING_BATCH_TOKENS = Slope(0.05, 0.2)  # assumption
UNKNOWN_BATCH_TOKENS = Slope(-0.1, 0.3)  # assumption: between the other two
FLOPS = Slope(-0.15, 0.15)  # for C in place of N and D; assumption


class Place(NamedTuple):
    """A cell at which a best LR is known or wanted."""

    n_active: float
    tokens: float
    n_total: float | None = None  # None: as n_active
    batch_tokens: float | None = None  # None: not known

    @property
    def model_key(self) -> tuple[float, ...]:
        """What cells of one model have in common."""
        return (self.n_active, self.n_total or self.n_active)

    @property
    def trunk_key(self) -> tuple[float, ...]:
        """What cells whose runs can share a trunk have in common: model and batch."""
        return (*self.model_key, self.batch_tokens or 0.0)

    def log(self, column: Column, size: Size) -> float:
        """Natural log of the regressor `column`."""
        total = self.n_total or self.n_active
        if column == "tokens":
            return math.log(self.tokens)
        if column == "batch":
            assert self.batch_tokens is not None
            return math.log(self.batch_tokens)
        if column == "sparsity":
            return math.log(self.n_active / total)
        if size == "flops":
            return math.log(self.n_active) + math.log(self.tokens)
        return math.log(total if size == "total" else self.n_active)


class LawPoint(NamedTuple):
    """The best LR of one cell: active parameters, tokens, ln lr* and its standard deviation.

    `n_total` is None for a dense model, or if it is not known. `batch_tokens` (per step) is None if it is not known.
    """

    n_active: float
    tokens: float
    ln_lr: float
    sd: float
    n_total: float | None = None
    batch_tokens: float | None = None

    @property
    def place(self) -> Place:
        """Its cell."""
        return Place(self.n_active, self.tokens, self.n_total, self.batch_tokens)


@dataclass(frozen=True)
class Design:
    """The columns of a law with one measure of size."""

    size: Size
    names: tuple[Column, ...]  # the first is size
    center: Array  # [columns], mean log of each column
    logs: Array  # [points, columns], logs minus their center
    identified: tuple[bool, ...]  # whether the column spans at least MIN_SPAN
    entangled: tuple[bool, ...]  # whether the other columns nearly determine this one
    batch_moves: bool  # whether the batch is known to vary

    @classmethod
    def of(cls, places: Sequence[Place], size: Size, *, batch: bool) -> "Design":
        """The columns that these places allow. With `batch`, each place must know its batch."""
        names: list[Column] = ["size"] if size == "flops" else ["size", "tokens"]
        batches = [place.log("batch", size) for place in places if place.batch_tokens is not None]
        if batch:
            names.append("batch")
        if size != "active":
            names.append("sparsity")
        raw = np.array([[place.log(name, size) for name in names] for place in places])
        logs = raw - raw.mean(axis=0)
        identified = tuple(_spans(column) for column in raw.T)
        return cls(
            size,
            tuple(names),
            raw.mean(axis=0),
            logs,
            identified,
            _entangled(logs, identified),
            bool(batches) and _spans(batches),
        )

    def fitted(self) -> Array:
        """The design matrix [points, 1 + columns], with ones in front.

        A column that is not identified is zero, so that its exponent is that of its prior.
        """
        return np.column_stack([np.ones(len(self.logs)), self.logs * np.array(self.identified)])

    def row(self, place: Place) -> Array:
        """The row [1 + columns] of the design matrix for a cell."""
        return np.array([1.0, *[place.log(name, self.size) for name in self.names]]) - np.array([0.0, *self.center])

    def priors(self) -> tuple[Slope, ...]:
        """The prior of each column."""
        named = dict(PRIORS)
        if "batch" not in self.names:
            named["tokens"] = MOVING_BATCH_TOKENS if self.batch_moves else UNKNOWN_BATCH_TOKENS
        if self.size == "flops":
            named["size"] = FLOPS
        return tuple(named[name] for name in self.names)

    def flags(self, places: Sequence[Place], sds: Array) -> tuple[str, ...]:
        """What the design does not determine, in words. `sds` [columns] are those of the fitted slopes."""
        flags = []
        for i, (name, prior) in enumerate(zip(self.names, self.priors(), strict=True)):
            symbol, noun = WORDS[name]
            n = len({place.log(name, self.size) for place in places})
            if not self.identified[i]:
                if name in ("batch", "sparsity"):
                    continue  # a single value is no weakness; a prediction for another value gets a flag
                counted = f"{n} {noun}{'s' * (n > 1)} within {MIN_SPAN:g}x"
                assumed = f"assumed {-prior.mean:g} +- {prior.sd:g}"
                flags.append(f"the runs do not determine {symbol}, as they have {counted}: {assumed}")
            elif self.entangled[i]:
                flags.append(f"{symbol} cannot be told from the other exponents, so it relies on its prior")
            elif sds[i] > LEANING * prior.sd:
                flags.append(f"{n} {noun}{'s' * (n > 1)} hardly determine {symbol}, so it relies on its prior")
        return tuple(flags)


def _spans(logs: Sequence[float] | Array) -> bool:
    return bool(np.ptp(logs) >= math.log(MIN_SPAN))


def _entangled(logs: Array, identified: Sequence[bool]) -> tuple[bool, ...]:
    """For each column, whether its multiple correlation with the other identified ones is at least MAX_CORRELATION."""
    found = []
    for i in range(logs.shape[1]):
        others = logs[:, [j for j in range(logs.shape[1]) if j != i and identified[j]]]
        if not identified[i] or not others.shape[1]:
            found.append(False)
            continue
        left = logs[:, i] - others @ np.linalg.lstsq(others, logs[:, i], rcond=None)[0]
        found.append(bool(left @ left <= (1 - MAX_CORRELATION**2) * (logs[:, i] @ logs[:, i])))
    return tuple(found)
