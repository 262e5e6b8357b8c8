"""Computes the LR along a run under a schedule, for `lrladder schedule`, and prints it."""

import math
from typing import NamedTuple

import numpy as np
from pydantic import ValidationError
from rich.console import Console

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.schedules import Kind, Reference, ScheduleConfig, factor, power_lr
from lrladder.benchmark.tables import WordTable
from lrladder.paradigms.published import POWER_SEQ_LEN

MAX_TOKENS = 2**53  # larger whole numbers are not exact in a float


class Point(NamedTuple):
    """The LR of the step that begins after `tokens`."""

    tokens: int
    lr: float


class PowerLaw(NamedTuple):
    """lr = min(lr_max, a beta n^b); beta is the batch in sequences of 4,096 tokens. arXiv 2408.13359 eq. 7."""

    a: float
    b: float
    lr_max: float

    def at(self, tokens: float, batch_tokens: int) -> float:
        """The LR after `tokens`."""
        batch = batch_tokens / POWER_SEQ_LEN
        return power_lr(tokens, batch=batch, a=self.a, b=self.b, lr_max=self.lr_max)

    def binds_until(self, batch_tokens: int) -> float:
        """Number of tokens up to which lr_max limits the LR."""
        return float((self.lr_max / (self.a * batch_tokens / POWER_SEQ_LEN)) ** (1 / self.b))


class Curve(NamedTuple):
    """The LR along one run: the schedule multiplies `lr`. `at` is where the power law equals `lr`."""

    schedule: ScheduleConfig
    tokens: int
    batch_tokens: int
    lr: float
    at: Reference
    points: tuple[Point, ...]

    def to_dict(self) -> dict[str, object]:
        """The output of `--json`."""
        settings = self.schedule.model_dump()
        given = {"tokens": self.tokens, "batch_tokens": self.batch_tokens, "lr": self.lr, "lr_at": self.at._asdict()}
        return {**settings, **given, "points": [point._asdict() for point in self.points]}


def draw(
    kind: Kind,
    *,
    tokens: int,
    batch_tokens: int,
    lr: float | None = None,
    law: PowerLaw | None = None,
    points: int = 200,
    **settings: object,
) -> Curve:
    """The LR at about `points` steps of a run, including the first step of each phase.

    `law` takes the place of `lr` for the kind power. Raises InputError for invalid values.
    """
    if not 0 < batch_tokens <= tokens:
        raise InputError(f"--batch-tokens {batch_tokens:,}: give at least 1 and at most --tokens {tokens:,}")
    if tokens > MAX_TOKENS:
        raise InputError(f"--tokens {tokens:,}: give at most {MAX_TOKENS:,}")
    tokens -= tokens % batch_tokens  # whole steps
    at = Reference(batch_tokens, tokens)
    if law is not None:
        at, lr = _anchor(law, tokens, batch_tokens)
        settings |= {"exponent": law.b, "cap": max(1.0, law.lr_max / lr)}
    if lr is None or not 0 < lr < math.inf:
        raise InputError("--lr: give the peak, a finite number above 0")
    schedule = _schedule({"kind": kind, **settings})
    _check(schedule, tokens, batch_tokens)
    steps = _steps(schedule, tokens, batch_tokens, points)
    factors = [factor(schedule, n, batch_tokens=batch_tokens, horizon=tokens, at=at) for n in steps]
    return Curve(
        schedule,
        tokens,
        batch_tokens,
        lr,
        at,
        tuple(Point(n, lr * found) for n, found in zip(steps, factors, strict=True)),
    )


def _anchor(law: PowerLaw, tokens: int, batch_tokens: int) -> tuple[Reference, float]:
    """The end of the run, or the later point up to which lr_max limits the LR, and the law's LR there.

    Raises InputError if that is not a finite LR above 0.
    """
    if not -2 <= law.b < 0:  # as in ScheduleConfig
        raise InputError(f"--b {law.b:g}: give an exponent of at least -2 and below 0")
    try:
        at = Reference(batch_tokens, max(tokens, math.ceil(law.binds_until(batch_tokens))))
        lr = law.at(at.tokens, batch_tokens)
    except ArithmeticError:
        lr = 0.0
    if not 0 < lr < math.inf or law.lr_max / lr == math.inf:
        raise InputError(f"--a {law.a:g}, --b {law.b:g}, --lr-max {law.lr_max:g}: no finite LR follows; see --help")
    return at, lr


def _schedule(settings: dict[str, object]) -> ScheduleConfig:
    try:
        return ScheduleConfig.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        options = {"exponent": "--b"}
        key = "".join(f"{options.get(str(part), f'--{part}').replace('_', '-')}: " for part in first["loc"])
        raise InputError(key + first["msg"].removeprefix("Value error, ")) from error


def render(curve: Curve, console: Console) -> None:
    """Print the phase borders and a line that shows the shape."""
    table = WordTable(f"{curve.schedule.kind}: LR of the step after these tokens", ("", "tokens", "LR"), left=1)
    by_tokens = {point.tokens: point.lr for point in curve.points}
    for name, place in borders(curve.schedule, curve.tokens, curve.batch_tokens).items():
        table.add_row(name, f"{place:,}", f"{by_tokens[place]:.4g}")
    console.print(table)
    console.print(sparkline(curve), highlight=False)


def _check(schedule: ScheduleConfig, tokens: int, batch_tokens: int) -> None:
    end = schedule.decay_start(tokens, batch_tokens)
    if schedule.warmup_tokens >= end:
        raise InputError(f"--warmup-tokens {schedule.warmup_tokens:,}: must end before the decay at {end:,} tokens")
    try:
        schedule.require_decay(tokens, batch_tokens, where="--tokens")
    except ValueError as error:
        raise InputError(str(error)) from error


def borders(schedule: ScheduleConfig, tokens: int, batch_tokens: int) -> dict[str, int]:
    """Tokens before these steps: first, first at the peak LR, first of the decay (not for constant), and last."""
    warm = max(0, -(-schedule.warmup_tokens // batch_tokens) - 1) * batch_tokens
    falls = {} if schedule.kind == "constant" else {"decay begins": schedule.fall_start(tokens, batch_tokens)}
    return {"first step": 0, "warm-up ends": warm, **falls, "last step": tokens - batch_tokens}


def _steps(schedule: ScheduleConfig, tokens: int, batch_tokens: int, points: int) -> list[int]:
    even = np.linspace(0, tokens // batch_tokens - 1, points).round().astype(int) * batch_tokens
    return sorted({*map(int, even), *borders(schedule, tokens, batch_tokens).values()})


def sparkline(curve: Curve, width: int = 64) -> str:
    """The LR from the first step to the last, as one line of characters."""
    last = curve.points[-1].tokens
    x = np.linspace(0, last, width)
    y = np.interp(x, [point.tokens for point in curve.points], [point.lr for point in curve.points])
    levels = " ▁▂▃▄▅▆▇█"
    return "".join(levels[round(8 * value / max(y))] for value in y)
