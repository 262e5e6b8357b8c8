"""Learning-rate schedules: pure functions of tokens consumed.

At step k of K decay steps, (K + 1 - k) / (K + 1) of the decay is still to come. So the first decay step is below the
peak, and the last one is above the end: no step repeats the peak, and none has an LR of 0. Only Power keeps the
definition of its source: arXiv 2408.13359 eq. 8 decays from f = 1 at n = N - N_decay, where n is the number of tokens
before the step, so the first decay step still has the stable LR.

A schedule is a factor on the LR of a trial. For WSD and constant the factor is 1 in the stable phase. Power's LR at n
tokens is min(lr_max, a * batch * n^b), arXiv 2408.13359 eq. 7. Its factor is 1 at a reference batch and token count.
The LR of a trial is then the value of the power law there, and can be compared with the best LR of WSD there.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from lrladder.paradigms.published import DECAY_FRACTION, POWER_D

Kind = Literal["constant", "linear", "cosine", "wsd", "power"]
DecayShape = Literal["linear", "sqrt", "exponential"]
Shape = DecayShape | Literal["cosine"]
Read = Literal["decay", "ema"]  # how a run is evaluated at a horizon


class Reference(NamedTuple):
    """The batch and token count where the LR of the power law equals the LR of the trial."""

    batch_tokens: int
    tokens: int


class ScheduleConfig(BaseModel):
    """The kind of a schedule, its warm-up and its decay.

    Warm-up is linear. Then wsd and power decay over the last `decay_fraction` of each horizon, and linear and cosine
    over all that is left of it. Before the decay, constant, wsd and power do not depend on the horizon, so all horizons
    can share one trunk.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)  # built at first use

    kind: Kind = "wsd"
    """Shape of the LR over the tokens. `wsd`: warm-up, stable LR, decay."""
    warmup_tokens: PositiveInt
    """Length of the linear warm-up in tokens."""
    decay_fraction: float = Field(DECAY_FRACTION, gt=0, lt=1)
    """Share of the horizon over which wsd and power decay."""
    decay: DecayShape = "linear"
    """Shape of the decay of wsd and power."""
    decay_to: float = Field(0.0, ge=0, lt=1)  # arXiv 2502.15938: zero is best
    """The LR at the end of the decay, as a share of that before it."""
    exponent: Annotated[float, Field(ge=-2, le=0)] = POWER_D
    """Exponent of the tokens in the power law of the LR; only for power."""
    cap: float = Field(4.0, ge=1)  # in the paper 1.1 to 6.4 at batch 1,024, 32B to 1T tokens
    """Highest LR of power, as a multiple of the LR of the trial."""
    # The default is not written, so that trials that are read after a decay keep the ids that they had before this key.
    read: Read = Field("decay", exclude_if=lambda read: read == "decay")  # ema: arXiv 2608.20061
    """How a run is evaluated at a horizon: after a decay, or without one on an average of the weights (`ema`).
    The schedule of a study leaves it at `decay`."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.read == "ema" and not self.has_trunk:
            raise ValueError(f"read: a {self.kind} schedule has no trunk whose weights could be averaged; give decay")
        if self.decay == "exponential" and self.decay_to == 0:
            raise ValueError(
                "decay_to: an exponential decay never reaches 0; give the value at its end, for example 0.01"
            )
        return self

    @property
    def has_trunk(self) -> bool:
        """Whether the LR before the decay is the same for all horizons, so that their runs can share one trunk."""
        return self.kind in ("constant", "wsd", "power")

    @property
    def decays(self) -> bool:
        """Whether the LR falls before a run is read."""
        return self.kind != "constant" and self.read == "decay"

    @property
    def average_exponent(self) -> float:
        """The exponent g of an average of the weights: at N tokens, the weights after n tokens count (n / N)^g.

        This is the power profile of arXiv 2312.02696. Its half-life is a fixed share of N, so that one average serves
        every horizon. An average of iterates acts like a decay of the LR (arXiv 2307.11007). Assumption: the best
        average is as old as the decay that it stands for. A uniform average over the share f of N that a linear decay
        takes has a mean age of f N / 2, and this one of N / (g + 2), so g = 2 / f - 2.
        """
        return 2 / self.decay_fraction - 2

    @property
    def shape(self) -> Shape:
        """Shape of the decay."""
        return self.kind if self.kind == "linear" or self.kind == "cosine" else self.decay

    def words(self, horizon: int, at: Reference) -> str:
        """The schedule of a run with this horizon, in words."""
        warm = f"linear warm-up over {self.warmup_tokens:,} tokens"
        if self.read == "ema":
            return f"{self.kind} without its decay: {warm}; evaluated through an average of the weights"
        end = f"{self.decay_to:g} times that" if self.decay_to else "0"
        last = f"{self.decay} decay to {end} over the last {self.decay_fraction:.0%} of {horizon:,} tokens"
        edges = "; at step k of K decay steps the fraction (K + 1 - k) / (K + 1) of the decay is still to come"
        match self.kind:
            case "constant":
                return f"constant: {warm}, then constant"
            case "linear" | "cosine":
                return f"{self.kind}: {warm}, then decay to {self.decay_to:g} of the peak at {horizon:,} tokens{edges}"
            case "wsd":
                return f"WSD: {warm}, constant, then {last}{edges}"
            case "power":
                law = f"(B / {at.batch_tokens:,}) (n / {at.tokens:,})^{self.exponent:g}"
                law = f"min({self.cap:g}, {law}) after n tokens, with B tokens per batch"
                edges = "; at step k of K decay steps the fraction (K + 1 - k) / K of the decay is still to come"
                return f"Power: {warm}, then every LR times {law}, then {last}{edges}"

    def decay_start(self, horizon: int, batch_tokens: int) -> int:
        """Tokens, in whole steps, after which the decay to `horizon` begins; the horizon if there is no branch."""
        if self.kind not in ("wsd", "power") or self.read == "ema":
            return horizon
        stable = 1 - Fraction(repr(self.decay_fraction))  # exact: 1 - 0.8 in floats is below 0.2, a step too early
        return math.floor(horizon * stable) // batch_tokens * batch_tokens

    def fall_start(self, horizon: int, batch_tokens: int) -> int:
        """Tokens after which the LR falls: where the decay to `horizon` begins, or where warm-up ends."""
        if self.kind in ("linear", "cosine"):
            return -(-self.warmup_tokens // batch_tokens) * batch_tokens
        return self.decay_start(horizon, batch_tokens)

    def require_decay(self, horizon: int, batch_tokens: int, *, where: str) -> None:
        """Raise ValueError, with a remedy, if the decay to `horizon` is shorter than one batch."""
        if self.kind in ("wsd", "power"):
            there, what = horizon * Fraction(repr(self.decay_fraction)), f"{self.decay_fraction:g} of it"
            remedy = "raise decay_fraction"
        else:
            there, what = Fraction(horizon - self.fall_start(horizon, batch_tokens)), "what warm-up leaves of it"
            remedy = "shorten warmup_tokens"
        if self.kind != "constant" and there < batch_tokens:
            raise ValueError(
                f"{where}: horizon {horizon} decays over {what}, less than one batch of {batch_tokens} tokens; "
                f"lengthen the horizon, {remedy} or lower batch_tokens"
            )

    def run_tokens(self, horizons: Sequence[int], batch_tokens: int) -> int:
        """Tokens of one run to all of `horizons`: the trunk to the last branch point, and each decay."""
        starts = [self.decay_start(horizon, batch_tokens) for horizon in horizons]
        return max(starts) + sum(horizons) - sum(starts)


def factor(schedule: ScheduleConfig, tokens: int, *, batch_tokens: int, horizon: int, at: Reference) -> float:
    """The factor on the LR of the step that begins after `tokens`. `tokens` and `horizon` are multiples of the batch.

    In warm-up the tokens of the step itself count. A step that ends after warm-up has the peak LR.
    """
    warm = schedule.warmup_tokens
    if tokens + batch_tokens <= warm:
        return (tokens + batch_tokens) / warm * _stable(schedule, warm, batch_tokens, at)
    start = schedule.fall_start(horizon, batch_tokens)
    stable = _stable(schedule, min(max(tokens, warm), start), batch_tokens, at)
    if tokens < start or schedule.kind == "constant":
        return stable
    edge = 0 if schedule.kind == "power" else batch_tokens
    left = (horizon - tokens) / (horizon - start + edge)
    return stable * decay(schedule.shape, left, schedule.decay_to)


def _stable(schedule: ScheduleConfig, tokens: int, batch_tokens: int, at: Reference) -> float:
    if schedule.kind != "power":
        return 1.0
    b = schedule.exponent
    return power_lr(tokens, batch=batch_tokens / at.batch_tokens, a=at.tokens**-b, b=b, lr_max=schedule.cap)


def power_lr(tokens: float, *, batch: float, a: float, b: float, lr_max: float) -> float:
    """eta_power(n) = min(lr_max, a * batch * n^b), arXiv 2408.13359 eq. 7; `a` is per unit of `batch`."""
    return min(lr_max, a * batch * tokens**b) if tokens > 0 else lr_max


def decay(shape: Shape, left: float, to: float) -> float:
    """The factor of a decay, from 1 at `left` = 1 to `to` at `left` = 0. `sqrt` falls as 1 - sqrt, arXiv 2405.18392."""
    match shape:
        case "linear":
            return to + (1 - to) * left
        case "sqrt":
            return 1 - (1 - to) * math.sqrt(1 - left)
        case "cosine":
            return to + (1 - to) * (1 - math.cos(math.pi * left)) / 2
        case "exponential":
            return float(to ** (1 - left))
