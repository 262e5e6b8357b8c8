"""The ways in which the proxy's best LRs are carried to another token horizon, one class for each."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from lrladder.paradigms.mutransfer.drift import widen
from lrladder.paradigms.mutransfer.horizon import UNKNOWN_EXPONENT, Exponent, fit_exponent
from lrladder.paradigms.mutransfer.horizon_rule import HorizonRule
from lrladder.paradigms.sweep.curve import Curve

Curves = Mapping[int, Curve]  # the proxy's curves that have a best LR, by horizon in tokens; at least one


class Answer(NamedTuple):
    """An LR with its 90% interval, before the drift is added. `tokens`: the horizon ratio over which it may drift."""

    lr: float
    low: float
    high: float
    tokens: float
    flags: tuple[str, ...]


class Carry(Protocol):
    """The proxy's best LRs, and how an LR for another horizon follows from them."""

    @property
    def horizon_exponent(self) -> float | None:
        """`Request.horizon_exponent` of the runs that use an answer."""
        ...

    def answer(self, horizon: int) -> Answer:
        """The LR for a horizon in tokens."""
        ...


@dataclass(frozen=True)
class ByRule:
    """The rules or the schedule adapt the LR of the base to each horizon. Their error is counted as drift."""

    curves: Curves
    horizon_exponent: None = None

    def answer(self, horizon: int) -> Answer:
        searched, lr, low, high = _nearest(self.curves, horizon)
        return Answer(lr, low, high, horizon / searched, self.curves[searched].flags)


@dataclass(frozen=True)
class Nearest:
    """No rule adapts the LR to the horizon: the best LR of the nearest searched horizon, in ratio, is used unchanged.

    The interval is wide enough for the published exponents of tokens. `why` is the text of its flag, which is given for
    every horizon if `always_said`, and else for horizons that were not searched.
    """

    curves: Curves
    horizon_exponent: float | None = None
    why: str = "no rule changes the LR with the horizon"
    always_said: bool = False

    def answer(self, horizon: int) -> Answer:
        searched, lr, low, high = _nearest(self.curves, horizon)
        low, high = widen(lr, low, high, UNKNOWN_EXPONENT * abs(math.log(horizon / searched)))
        said = self.always_said or searched != horizon
        flag = (f"{self.why}: searched at {searched:,} tokens, used at {horizon:,}",) if said else ()
        return Answer(lr, low, high, 1.0, (*flag, *self.curves[searched].flags))


@dataclass(frozen=True)
class ByExponent:
    """An exponent fitted to the best LRs of all the proxy's horizons. The rules of each run apply it."""

    exponent: Exponent
    base: int  # tokens of the base, where `exponent.ln_lr` holds

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
    why = "the proxy's runs do not determine the horizon exponent, so 0 is used"
    return Nearest(curves, horizon_exponent=0.0, why=why, always_said=True)


CARRIES: dict[HorizonRule, Callable[[Curves, int], Carry]] = {
    "none": lambda curves, base: Nearest(curves),
    "wsd": lambda curves, base: ByRule(curves),
    "sde": lambda curves, base: ByRule(curves),
    "power": lambda curves, base: ByRule(curves),
    "fitted": _fitted,
}


def _nearest(curves: Curves, horizon: int) -> tuple[int, float, float, float]:
    """The searched horizon nearest to `horizon` in ratio, its best LR, and the two ends of that LR's interval."""
    searched = min(curves, key=lambda tokens: abs(math.log(tokens / horizon)))
    curve = curves[searched]
    assert curve.lr_best is not None
    assert curve.lr_low is not None
    assert curve.lr_high is not None
    return searched, curve.lr_best, curve.lr_low, curve.lr_high
