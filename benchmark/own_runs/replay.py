"""Scores strategies on earlier runs: each strategy chooses the LR of a large cell from runs of smaller cells."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from pydantic import ConfigDict
from scipy.interpolate import PchipInterpolator

from lrladder.benchmark.documents import Document, Frozen
from lrladder.benchmark.own_runs.cells import Protocol, RunCell, cells
from lrladder.benchmark.own_runs.lab import ReplayedLab, rungs_of
from lrladder.benchmark.own_runs.runs import Runs
from lrladder.benchmark.own_runs.ways import Way, ways_of
from lrladder.paradigms.lab import Rung
from lrladder.paradigms.paradigm import NoProposal
from lrladder.paradigms.strategies.fallback import from_few_runs
from lrladder.paradigms.strategies.search import Choice, run_flops
from lrladder.paradigms.sweep.swept import settle, sweep

SOURCE_SHARE = 0.25  # most FLOPs of a source, as a share of those of the target; assumption
MIN_SOURCES = 5  # least sources of a target, unless the table marks it as held out; assumption
ROUNDING = 1e-9  # relative; with it a cell of exactly SOURCE_SHARE is a source

SCHEMA = "lrladder.replay/1"


class _Record(Frozen):
    model_config = ConfigDict(allow_inf_nan=False)


class StrategyScore(_Record):
    """The scores of a strategy at one target. Regrets are in nats. A value is None if a flag says why."""

    name: str
    budget: float | None = None  # the most that its search might cost, in target runs; None: its own
    lr: float | None = None
    lr_low: float | None = None
    lr_high: float | None = None
    regret_quadratic: float | None = None  # fitted curve of the target at lr, minus its minimum
    regret_interpolated: float | None = None  # losses of the target interpolated at lr, minus the lowest
    cost_fraction: float  # FLOPs of the runs asked for, in target runs
    covered: bool | None = None  # whether the 90% interval holds the target's own best LR
    flags: tuple[str, ...]


class TargetScore(_Record):
    """A target, its own best LR with a 90% interval, and the strategies in the order of the request."""

    family: str
    n_params: int | float
    n_active: int | float
    tokens: int | float
    batch_tokens: int | float | None
    flops: float
    n_sources: int
    extrapolation: float | None  # target FLOPs over those of the largest source
    lr_best: float | None
    lr_best_low: float | None
    lr_best_high: float | None
    loss_best: float | None
    strategies: tuple[StrategyScore, ...]
    flags: tuple[str, ...]


class Replay(Document):
    """The scores of all strategies at all targets. `lrladder replay --out` writes it to replay.json."""

    schema_: str = SCHEMA
    protocol: Protocol
    targets: tuple[TargetScore, ...]
    flags: tuple[str, ...]


class Task(NamedTuple):
    """One target and the cells that may be searched for it."""

    target: RunCell
    sources: tuple[RunCell, ...]


def replay(
    runs: Runs,
    *,
    protocol: Protocol = "best",
    strategies: Sequence[str] = (),
    budgets: Sequence[float] = (),
    from_here: bool = False,
) -> Replay:
    """Score `strategies`, by default all of them; `fitting` is always first. Raises InputError for an unknown name.

    With `budgets`, in target runs, the strategies whose cost can be bounded are scored once with each budget. They then
    always give an LR. A class of the user's own is imported from installed packages or, with `from_here`, also from the
    working directory.
    """
    ways = ways_of(strategies, budgets, from_here=from_here)
    found = list(tasks(runs, protocol))
    flags = list(runs.flags)
    if not found:
        flags.append(_why_none(cells(runs, protocol=protocol)))
    targets = tuple(_score(task, ways) for task in found)
    return Replay(protocol=protocol, targets=targets, flags=tuple(flags))


def _why_none(found: Sequence[RunCell]) -> str:
    """Why no cell can be a target, with the cell that comes nearest to it."""
    remedy = "mark the runs of targets with 1 in a column held_out"
    closed = [cell for cell in found if cell.curve.status == "interior"]
    if not closed:
        counts = Counter(cell.curve.status for cell in found)
        states = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        return f"no target: none of {len(found)} cells has a fitted minimum to score against ({states}); {remedy}"
    cheap = {cell.name: len(sources_of(cell, found)) for cell in closed}
    best = max(cheap, key=lambda name: cheap[name])
    need = f"{MIN_SOURCES} cells of its family at {SOURCE_SHARE:g} of its FLOPs or less"
    return f"no target: a target needs {need}; {best}, which comes nearest to that, has {cheap[best]}; {remedy}"


def sources_of(target: RunCell, found: Sequence[RunCell]) -> tuple[RunCell, ...]:
    """Cells that may be searched for a target."""
    limit = SOURCE_SHARE * target.flops * (1 + ROUNDING)
    return tuple(cell for cell in found if cell.family == target.family and cell.flops <= limit)


def tasks(runs: Runs, protocol: Protocol) -> Iterator[Task]:
    """The targets with their sources.

    Sources are cells of the same family with at most SOURCE_SHARE of the target's FLOPs, none of them held out. Targets
    are the held-out cells; without any, all bracketed cells with at least MIN_SOURCES sources. Held-out runs have no
    influence on the batches of sources.
    """
    held = runs.frame["held_out"]
    every = cells(runs, protocol=protocol)
    if held.any():
        searched = cells(Runs(runs.frame[~held], loss_step=runs.loss_step), protocol=protocol) if not held.all() else ()
        wanted = [cell for cell in every if cell.held_out]
    else:
        searched, wanted = every, [cell for cell in every if cell.curve.status == "interior"]
    for target in wanted:
        sources = sources_of(target, searched)
        if held.any() or len(sources) >= MIN_SOURCES:
            yield Task(target, sources)


def _score(task: Task, ways: Sequence[Way]) -> TargetScore:
    target, curve = task.target, task.target.curve
    flags = [*curve.flags]
    if curve.status != "interior":
        side = f" at its {curve.edge} end" if curve.edge else ""
        flags.append(
            f"the target's own minimum is not bracketed ({curve.status}{side}), so there is no quadratic regret"
        )
    return TargetScore(
        family=target.family,
        n_params=_count(target.n_params),
        n_active=_count(target.n_active),
        tokens=_count(target.tokens),
        batch_tokens=None if target.batch_tokens is None else _count(target.batch_tokens),
        flops=target.flops,
        n_sources=len(task.sources),
        extrapolation=target.flops / max(cell.flops for cell in task.sources) if task.sources else None,
        lr_best=curve.lr_best,
        lr_best_low=curve.lr_low,
        lr_best_high=curve.lr_high,
        loss_best=curve.minimum,
        strategies=tuple(_run(way, task) for way in ways),
        flags=tuple(flags),
    )


def _count(value: float) -> int | float:
    return int(value) if value.is_integer() else value


def _run(way: Way, task: Task) -> StrategyScore:
    """Search and propose with one strategy, then score the proposal. With a budget there is always a proposal."""
    rungs, aim = rungs_of(task.sources, task.target)
    if way.searches_targets:
        rungs, lab = (), ReplayedLab([aim], [task.target])
    else:
        lab = ReplayedLab(rungs, task.sources)
    try:
        if not rungs and not way.searches_targets:
            raise NoProposal("there is no cell to search that costs at most a quarter of the target's FLOPs")
        found = way.search(lab, (*rungs, aim)).propose(aim, max(aim.horizons))
        choice = Choice(found.lr, found.lr_low, found.lr_high, found.flags)
    except NoProposal as none:
        if way.budget is None:
            return StrategyScore(name=way.name, cost_fraction=_cost(lab, way, aim), flags=(str(none),))
        asked = lab.asked(way.name)
        choice = from_few_runs(lab, rungs, aim, payer=way.name, asked=asked, target_runs=way.budget, why=str(none))
    return score_choice(way, choice, task.target, cost_fraction=_cost(lab, way, aim))


def _cost(lab: ReplayedLab, way: Way, aim: Rung) -> float:
    """Search cost in target runs. Both costs are in the lab's units."""
    return lab.cost_flops(way.name) / run_flops(aim)


def score_choice(way: Way, choice: Choice, target: RunCell, *, cost_fraction: float) -> StrategyScore:
    """The regrets of an LR at a target. The cost of the search is in target runs."""
    curve = target.curve
    interpolated, flags = _interpolated(target, choice.lr)
    covered = None
    if curve.lr_best is not None and choice.lr_low is not None and choice.lr_high is not None:
        covered = choice.lr_low <= curve.lr_best <= choice.lr_high
    return StrategyScore(
        name=way.name,
        budget=way.budget,
        lr=choice.lr,
        lr_low=choice.lr_low,
        lr_high=choice.lr_high,
        regret_quadratic=curve.at(choice.lr) - curve.minimum if curve.minimum is not None else None,
        regret_interpolated=interpolated,
        cost_fraction=cost_fraction,
        covered=covered,
        flags=(*choice.flags, *flags),
    )


def _interpolated(target: RunCell, lr: float) -> tuple[float | None, tuple[str, ...]]:
    """Loss at `lr` above the lowest loss, interpolated in ln lr between the means of finished LRs.

    The interpolation is monotone. Beyond the finished LRs, the last two are extrapolated by a straight line, which is
    too low if losses curve upwards.
    """
    data = sweep(target.lrs, target.losses)
    if len(data.finished) < 2:
        return None, ("fewer than 2 LRs finished at the target, so there is no interpolated regret",)
    kept = ~np.isin(data.finished, settle(data).odd)  # blow-ups count: an LR among them is bad
    x, wanted = np.log(data.finished[kept]), math.log(lr)
    rise = data.means[kept] - data.means[kept].min()
    if x[0] <= wanted <= x[-1]:
        return float(PchipInterpolator(x, rise)(wanted)), ()
    end = slice(0, 2) if wanted < x[0] else slice(-2, None)
    slope, level = np.polyfit(x[end], rise[end], 1)
    line = max(0.0, float(level + slope * wanted))
    return line, (
        "the chosen LR lies outside the LRs that finished at the target, so their losses are extrapolated by a line",
    )
