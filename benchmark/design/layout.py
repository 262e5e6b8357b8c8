"""Chooses the ladder of a new study: among those that the budget pays for, the one that is expected to answer best.

The answer is the best LR lr* of the user's own run, the goal. A ladder is better if the law fitted to it would have a
smaller standard deviation of ln lr* at the goal (precision.py).
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from lrladder.benchmark.design.precision import At, predictive_sd
from lrladder.benchmark.design.proportions import Proxy, trainable
from lrladder.benchmark.errors import InputError
from lrladder.models.shape import ModelShape

# Assumptions, unless a source is named.
VALIDATION = 0.25  # share of the budget for one validation target
TRANSFER = 0.15  # share of the budget for muTransfer's search on one proxy
# Runs that Fitting's search needs per cell, as simulated: three LRs, those that close the bracket, and one to confirm.
RUNS_PER_CELL = 4.5
TRANSFER_RUNS = 14  # of muTransfer's search: five LRs and two extensions, each with two seeds
TARGET_RUNS = 26  # two proposals with three seeds; two sweeps of three LRs and two half steps, with two seeds
HORIZON_RATIO = 4  # longer horizon / shorter horizon of one size
BATCH_RATIO = 4  # the smallest size is searched at its batch and at its batch / BATCH_RATIO
LEAST_STEPS = 2000  # of any run
LEAST_TOKENS = 5  # tokens per active parameter of the target: a quarter of Chinchilla's, arXiv 2203.15556
SLOPES = (0.0, 0.5, 1.0)  # the powers of N that are tried as horizons
SIZES = (4, 3)  # the numbers of proxies that are tried


class Goal(NamedTuple):
    """The user's model and run, and the limits of its study.

    `budget` is the most that the study may cost, in multiples of the FLOPs of that run. `memory_bytes` is the room for
    the training state of the largest proxy. `validate`: whether the study gets a validation target.
    """

    shape: ModelShape
    tokens: int
    batch_tokens: int
    budget: float
    memory_bytes: float
    validate: bool = True

    @property
    def flops(self) -> float:
        """FLOPs of the run."""
        return float(self.shape.flops_per_token * self.tokens)

    @property
    def whole_run(self) -> tuple[int, int]:
        """Tokens of the run and of its step, in whole steps and sequences."""
        return whole_run(self.tokens, self.batch_tokens, self.shape.seq_len)

    @property
    def at(self) -> At:
        """The point where a law of the best LR is evaluated."""
        return At(self.shape.n_active, self.tokens, self.batch_tokens)


def whole_run(tokens: float, batch_tokens: float, seq_len: int) -> tuple[int, int]:
    """The tokens of a run in whole steps, and those of a step in whole sequences: the nearest ones that there are."""
    batch = seq_len * max(1, round(batch_tokens / seq_len))
    return max(1, round(tokens / batch)) * batch, batch


class PlannedRung(NamedTuple):
    """A rung of the new study. `horizons` are in tokens, ascending."""

    name: str
    proxy: Proxy
    batch_tokens: int
    horizons: tuple[int, ...]

    @property
    def flops(self) -> float:
        """FLOPs of separate runs, one to each horizon."""
        return float(self.proxy.shape.flops_per_token * sum(self.horizons))

    @property
    def cells(self) -> list[At]:
        """The points where the search of this rung finds the best LR: one per horizon."""
        return [At(self.proxy.shape.n_active, horizon, self.batch_tokens) for horizon in self.horizons]


class Layout(NamedTuple):
    """The ladder of a study. The smallest proxy comes twice if its batch can be made smaller: at two batches."""

    goal: Goal
    proxies: tuple[PlannedRung, ...]
    base: str  # name of the proxy on which muTransfer searches
    target: PlannedRung | None
    sd: float  # estimated standard deviation of ln lr* at the goal

    @property
    def largest(self) -> PlannedRung:
        """The proxy with the most active parameters."""
        return max(self.proxies, key=lambda rung: rung.proxy.shape.n_active)


def lay_out(goal: Goal) -> Layout:
    """The ladder with the smallest `sd` that the budget pays for. Raises InputError if it pays for none."""
    known = trainable(goal.shape, memory_bytes=goal.memory_bytes, wanted=min(SIZES) + goal.validate)
    target = _target(goal, known) if goal.validate else None
    proxies = [proxy for proxy in known if target is None or proxy.shape.n_active < target.proxy.shape.n_active]
    money = (1 - TRANSFER - (VALIDATION if target else 0.0)) * goal.budget * goal.flops
    found = list(_ladders(goal, proxies, money))
    if not found:
        raise InputError(
            f"design: no ladder of {min(SIZES)} proxies: {len(known)} sizes fit into the memory, {len(proxies)} of "
            f"them below a validation target; raise --memory, or --budget where runs would have under {LEAST_STEPS:,} "
            "steps, or give --no-validation"
        )
    best = min(found, key=lambda rungs: predictive_sd(_cells(rungs), goal.at))
    return Layout(goal, best, _base(goal, best), target, predictive_sd(_cells(best), goal.at))


def _cells(rungs: Sequence[PlannedRung]) -> list[At]:
    return [cell for rung in rungs for cell in rung.cells]


def _ladders(goal: Goal, proxies: Sequence[Proxy], money: float) -> Iterator[tuple[PlannedRung, ...]]:
    """Every choice of sizes and slope that can be trained. `money` is what Fitting's search may cost, in FLOPs."""
    for count in SIZES:
        for sizes in itertools.combinations(proxies, count):
            for slope in SLOPES:
                rungs = _spend(goal, sizes, slope, money)
                if rungs is not None:
                    yield rungs


def _spend(goal: Goal, sizes: Sequence[Proxy], slope: float, money: float) -> tuple[PlannedRung, ...] | None:
    """Rungs of these sizes with horizons in proportion to N^slope, so long that their search costs `money`.

    No horizon is longer than the goal's. None if a run would be too short.
    """
    shares = [proxy.shape.n_active**slope for proxy in sizes]
    ends = [proxy.shape.flops_per_token * share for proxy, share in zip(sizes, shares, strict=True)]
    price = RUNS_PER_CELL * (sum(ends) * (1 + 1 / HORIZON_RATIO) + ends[0])  # the last: the other batch
    rungs = []
    for i, (proxy, share) in enumerate(zip(sizes, shares, strict=True)):
        tokens = min(share * money / price, goal.tokens)
        rung = _rung(goal, proxy, tokens)
        if rung is None:
            return None
        rungs.append(rung)
        if i == 0 and (other := _other_batch(rung)) is not None:
            rungs.append(other)
    return tuple(rungs)


def _rung(goal: Goal, proxy: Proxy, tokens: float, *, horizons: int = 2) -> PlannedRung | None:
    """A rung that trains on about `tokens`, with a batch in proportion to the square root of tokens.

    The batch is lower if its shortest run would have under LEAST_STEPS steps; None if one sequence is still too much.
    """
    seq, ratio = goal.shape.seq_len, HORIZON_RATIO if horizons == 2 else 1
    wanted = goal.batch_tokens * math.sqrt(tokens / goal.tokens)
    batch = seq * max(1, int(min(wanted, tokens / ratio / LEAST_STEPS) / seq))
    steps = int(tokens / ratio / batch)
    if steps < LEAST_STEPS:
        return None
    ends = (steps * batch, ratio * steps * batch) if horizons == 2 else (steps * batch,)
    return PlannedRung(f"p{proxy.shape.width}x{proxy.shape.depth}", proxy, batch, ends)


def _other_batch(rung: PlannedRung) -> PlannedRung | None:
    """The same model and longest horizon at 1 / BATCH_RATIO of the batch; None if the batch is one sequence."""
    seq = rung.proxy.shape.seq_len
    batch = seq * max(1, rung.batch_tokens // BATCH_RATIO // seq)
    if batch == rung.batch_tokens:
        return None
    end = rung.horizons[-1] // batch * batch
    return PlannedRung(f"{rung.name}-small-batch", rung.proxy, batch, (end,))


def _target(goal: Goal, known: Sequence[Proxy]) -> PlannedRung | None:
    """The largest model whose validation runs the share VALIDATION of the budget pays for; None if there is none."""
    for proxy in reversed(known[min(SIZES) :]):
        tokens = VALIDATION * goal.budget * goal.flops / TARGET_RUNS / proxy.shape.flops_per_token
        tokens = min(tokens, goal.tokens)
        rung = _rung(goal, proxy, tokens, horizons=1) if tokens >= LEAST_TOKENS * proxy.shape.n_active else None
        if rung is not None:
            return rung._replace(name=f"t{proxy.shape.width}x{proxy.shape.depth}")
    return None


def _base(goal: Goal, rungs: Sequence[PlannedRung]) -> str:
    """The largest proxy that the share TRANSFER pays for, else the smallest one; not the rung at the smaller batch."""
    money = TRANSFER * goal.budget * goal.flops
    own = [rung for rung in rungs if len(rung.horizons) > 1]
    paid = [rung for rung in own if TRANSFER_RUNS * rung.proxy.shape.flops_per_token * rung.horizons[-1] <= money]
    return (paid or own[:1])[-1].name
