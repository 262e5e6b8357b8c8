"""What becomes of the proxy's optima at another token horizon, one way for each horizon rule."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from lrladder.paradigms.mutransfer.drift import widen
from lrladder.paradigms.mutransfer.horizon import UNKNOWN_EXPONENT, Exponent, fit_exponent
from lrladder.paradigms.mutransfer.horizon_rule import HorizonRule
from lrladder.paradigms.sweep.curve import Curve

Curves = Mapping[int, Curve]  # interior ones of the proxy, by horizon in tokens; at least one


class Answer(NamedTuple):
    """An LR with a 90% interval that knows of no drift yet, and the ratio of horizons over which the LR may drift."""

    lr: float
    low: float
    high: float
    tokens: float
    flags: tuple[str, ...]


class Carry(Protocol):
    """Optima of the proxy, and the way in which they answer for another horizon."""

    @property
    def horizon_exponent(self) -> float | None:
        """As in Request, of the runs that use an answer."""
        ...

    def answer(self, horizon: int) -> Answer: ...


@dataclass(frozen=True)
class ByRule:
    """The study's rules, or its schedule, make each horizon's LR of the base's. What they leave is drift."""

    curves: Curves
    horizon_exponent: None = None

    def answer(self, horizon: int) -> Answer:
        searched, lr, low, high = _nearest(self.curves, horizon)
        return Answer(lr, low, high, horizon / searched, self.curves[searched].flags)


@dataclass(frozen=True)
class Nearest:
    """Nothing carries the horizon: the optimum of the searched horizon nearest to it, in ratio, is used unchanged.

    The interval holds the published exponents of the horizon.
    """

    curves: Curves
    horizon_exponent: float | None = None
    why: str = "no horizon rule"
    always_said: bool = False

    def answer(self, horizon: int) -> Answer:
        searched, lr, low, high = _nearest(self.curves, horizon)
        low, high = widen(lr, low, high, UNKNOWN_EXPONENT * abs(math.log(horizon / searched)))
        said = self.always_said or searched != horizon
        flag = (f"{self.why}: searched at {searched:,} tokens, used at {horizon:,}",) if said else ()
        return Answer(lr, low, high, 1.0, (*flag, *self.curves[searched].flags))


@dataclass(frozen=True)
class ByExponent:
    """An exponent that was fitted to the optima of all horizons; it goes into the rules of each run."""

    exponent: Exponent
    base: int  # tokens

    @property
    def horizon_exponent(self) -> float:
        return self.exponent.b

    def answer(self, horizon: int) -> Answer:
        lr, half = math.exp(self.exponent.ln_lr), self.exponent.half_width(horizon / self.base)
        return Answer(lr, lr * math.exp(-half), lr * math.exp(half), 1.0, self.exponent.flags)


def _fitted(curves: Curves, base: int) -> Carry:
    exponent = fit_exponent(curves, base)
    if exponent is not None:
        return ByExponent(exponent, base)
    why = "horizon exponent not identified by the proxy, 0 used"
    return Nearest(curves, horizon_exponent=0.0, why=why, always_said=True)


CARRIES: dict[HorizonRule, Callable[[Curves, int], Carry]] = {
    "none": lambda curves, base: Nearest(curves),
    "sde": lambda curves, base: ByRule(curves),
    "power": lambda curves, base: ByRule(curves),
    "fitted": _fitted,
}


def _nearest(curves: Curves, horizon: int) -> tuple[int, float, float, float]:
    """The searched horizon nearest to another in ratio, its best LR and the interval of that."""
    searched = min(curves, key=lambda tokens: abs(math.log(tokens / horizon)))
    curve = curves[searched]
    assert curve.lr_best is not None
    assert curve.lr_low is not None
    assert curve.lr_high is not None
    return searched, curve.lr_best, curve.lr_low, curve.lr_high
