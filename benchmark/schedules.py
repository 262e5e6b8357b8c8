"""Learning-rate schedules: pure functions of tokens consumed.

A schedule gives the factor on a trial's LR. WSD and constant are 1 in their stable phase. Power's LR at n tokens is
min(lr_max, a * batch * n^b), arXiv 2408.13359 eq. 7; as a factor it is 1 at a reference batch and token count, so that
the trial's LR is the power law's value there and can be compared with the best LR of WSD at that horizon.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from lrladder.paradigms.published import DECAY_FRACTION, POWER_D

Kind = Literal["constant", "linear", "cosine", "wsd", "power"]
DecayShape = Literal["linear", "sqrt", "exponential"]


class Reference(NamedTuple):
    """Where the power law's LR equals the trial's."""

    batch_tokens: int
    tokens: int


class ScheduleConfig(BaseModel):
    """Warm-up is linear. wsd and power then decay over the last fraction of each horizon, linear and cosine all along.

    Before their decay constant, wsd and power do not depend on the horizon, so one trunk serves all horizons.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Kind = "wsd"
    warmup_tokens: PositiveInt
    decay_fraction: float = Field(DECAY_FRACTION, gt=0, lt=1)
    decay: DecayShape = "linear"  # of wsd and power
    decay_to: float = Field(0.0, ge=0, lt=1)  # of the LR before the decay; arXiv 2502.15938: zero is best
    exponent: Annotated[float, Field(ge=-2, le=0)] = POWER_D
    cap: float = Field(
        4.0, ge=1
    )  # lr_max over the trial's LR; the paper's is 1.1 to 6.4 of it at batch 1,024, 32B to 1T

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.decay == "exponential" and self.decay_to == 0:
            raise ValueError("decay_to: an exponential decay never reaches 0; give what it ends at, as 0.01")
        return self

    @property
    def has_trunk(self) -> bool:
        return self.kind in ("constant", "wsd", "power")

    def words(self, horizon: int, at: Reference) -> str:
        """What a run of this length does to every LR, in words."""
        warm = f"linear warm-up over {self.warmup_tokens:,} tokens"
        last = f"{self.decay} decay to {self.decay_to:g} of it over the last {self.decay_fraction:.0%} of {horizon:,}"
        match self.kind:
            case "constant":
                return f"constant: {warm}, then constant"
            case "linear" | "cosine":
                return f"{self.kind}: {warm}, then decay to {self.decay_to:g} of the peak at {horizon:,} tokens"
            case "wsd":
                return f"WSD: {warm}, constant, then {last}"
            case "power":
                law = f"(B / {at.batch_tokens:,}) (n / {at.tokens:,})^{self.exponent:g}"
                law = f"min({self.cap:g}, {law}) at n tokens and B a batch"
                return f"Power: {warm}, then every LR times {law}, then {last}"

    def decay_start(self, horizon: int, batch_tokens: int) -> int:
        """Tokens after which the decay to `horizon` begins, at a whole step; the horizon itself without a trunk."""
        if self.kind not in ("wsd", "power"):
            return horizon
        return int(horizon * (1 - self.decay_fraction)) // batch_tokens * batch_tokens

    def run_tokens(self, horizons: Sequence[int], batch_tokens: int) -> int:
        """Tokens that one run to all of `horizons` trains on: the trunk to the last branch point, and each decay."""
        starts = [self.decay_start(horizon, batch_tokens) for horizon in horizons]
        return max(starts) + sum(horizons) - sum(starts)


def factor(schedule: ScheduleConfig, tokens: int, *, batch_tokens: int, horizon: int, at: Reference) -> float:
    """On the LR of the step after `tokens`, which are multiples of the batch.

    Warm-up counts the step itself, so that neither the first step nor the last has an LR of zero.
    """
    warm = schedule.warmup_tokens
    if tokens + batch_tokens <= warm:
        return (tokens + batch_tokens) / warm * _stable(schedule, warm, batch_tokens, at)
    if schedule.kind in ("linear", "cosine"):
        return decay(
            "linear" if schedule.kind == "linear" else "cosine", _left(tokens, warm, horizon), schedule.decay_to
        )
    start = schedule.decay_start(horizon, batch_tokens)
    stable = _stable(schedule, min(max(tokens, warm), start), batch_tokens, at)
    if tokens < start or schedule.kind == "constant":
        return stable
    return stable * decay(schedule.decay, _left(tokens, start, horizon), schedule.decay_to)


def _stable(schedule: ScheduleConfig, tokens: int, batch_tokens: int, at: Reference) -> float:
    if schedule.kind != "power":
        return 1.0
    b = schedule.exponent
    return power_lr(tokens, batch=batch_tokens / at.batch_tokens, a=at.tokens**-b, b=b, lr_max=schedule.cap)


def _left(tokens: int, start: int, end: int) -> float:
    return min(max((end - tokens) / max(end - start, 1), 0.0), 1.0)


def power_lr(tokens: float, *, batch: float, a: float, b: float, lr_max: float) -> float:
    """eta_power(n) = min(lr_max, a * batch * n^b), arXiv 2408.13359 eq. 7; `a` is per unit of `batch`."""
    return min(lr_max, a * batch * tokens**b) if tokens > 0 else lr_max


def decay(shape: DecayShape | Literal["cosine"], left: float, to: float) -> float:
    """From 1 where all of the decay is left to `to` where none is. `sqrt` falls as 1 - sqrt, arXiv 2405.18392."""
    match shape:
        case "linear":
            return to + (1 - to) * left
        case "sqrt":
            return 1 - (1 - to) * math.sqrt(1 - left)
        case "cosine":
            return to + (1 - to) * (1 - math.cos(math.pi * left)) / 2
        case "exponential":
            return float(to ** (1 - left))
