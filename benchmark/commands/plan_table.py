"""Prints the plan of a study as a table."""

import math
from collections.abc import Sequence

from rich.console import Console

from lrladder.benchmark.studies.planner import Plan, PlannedTrials
from lrladder.benchmark.tables import WordTable
from lrladder.reports.formats import flops, short


def render(plan: Plan, console: Console) -> None:
    """Print one row for each sweep; runs in brackets are those that extensions of the sweep would add."""
    table = WordTable(
        f"Plan of study {plan.name}; (+n): runs that extended sweeps would add; tokens, FLOPs, GiB and time of one run",
        ("for", "model", "LRs", "seeds", "read after", "runs", "tokens", "FLOPs", "GiB", "time"),
        left=5,
    )
    for sweep in _grouped(plan.trials):
        first = sweep[0]
        certain = [trial for trial in sweep if not trial.extension]
        extra = sum(trial.runs for trial in sweep if trial.extension)
        table.add_row(
            _label(first),
            first.rung,
            _lrs(certain),
            " ".join(map(str, dict.fromkeys(seed for trial in sweep for seed in trial.seeds))),
            " ".join(map(short, first.horizons)),
            f"{sum(trial.runs for trial in certain)}" + (f" (+{extra})" if extra else ""),
            short(first.tokens),
            flops(first.flops),
            f"{first.memory_bytes / 2**30:.2f}",
            _duration(first.seconds),
        )
    console.print(table)
    for name, totals in (("planned", plan.planned), ("at most, if every sweep is extended", plan.maximum)):
        console.print(
            f"{name}: {totals.runs} runs, {totals.tokens:.3g} tokens, {totals.flops:.2e} FLOPs, "
            f"{_duration(totals.seconds)} on {plan.workers} {'GPU(s)' if plan.placed else 'worker(s)'}"
        )
    if plan.placed:
        console.print(_placements(plan))
    console.print(f"memory of all workers together: {plan.peak_memory_bytes / 2**30:.2f} GiB; {plan.memory_source}")
    console.print(
        f"disk for checkpoints: up to {plan.disk_bytes / 2**30:.2f} GiB, for two checkpoints of each running trial and "
        f"the trunks that runs of the targets keep; {plan.disk_source}"
    )
    console.print(f"time: {plan.throughput_source}")
    for note in plan.notes:
        console.print(f"note: {note}")


def _placements(plan: Plan) -> WordTable:
    """One row for the longest run of each rung: how it is trained on the given GPUs, and the memory of each GPU."""
    settings = ("zero_stage", "expert_parallel", "micro_batch", "recompute")
    heads = ("model", "fits on", "GPUs", *settings, "hours/run", "GB/GPU")
    parts = ", ".join(plan.placed[0].memory)
    title = f"The cheapest way to train the longest run of each model on {plan.workers} GPU(s)"
    table = WordTable(title, (*heads, f"of these {parts}"), left=len(heads) + 1)
    for one in plan.placed:
        fits = "none" if one.fewest is None else f"{one.fewest} or more"
        if one.gpus is None:
            table.add_row(one.rung, fits, *["-"] * 8)
            continue
        sizes = ", ".join(f"{size / 1e9:.1f}" for size in one.memory.values())
        how = (str(one.gpus), *(str(getattr(one, name)) for name in settings))
        table.add_row(one.rung, fits, *how, f"{one.seconds / 3600:,.3g}", f"{one.needed_bytes / 1e9:.1f}", sizes)
    return table


def _grouped(trials: Sequence[PlannedTrials]) -> list[list[PlannedTrials]]:
    groups: dict[tuple[object, ...], list[PlannedTrials]] = {}
    for trial in trials:
        key = (trial.payer, trial.purpose, trial.rung, trial.parametrization, trial.horizons)
        groups.setdefault(key, []).append(trial)
    return list(groups.values())


def _label(trial: PlannedTrials) -> str:
    details = {"validation": trial.parametrization, "roles": "roles' LRs"}
    return f"{trial.payer} ({details[trial.purpose]})" if trial.purpose in details else trial.payer


def _lrs(trials: Sequence[PlannedTrials]) -> str:
    if any(trial.purpose == "roles" for trial in trials):
        return "the best LR, multiplied role by role"
    if any(trial.purpose == "recipe" for trial in trials):
        return "together with what else is tuned"
    known = [trial.lr for trial in trials if trial.lr is not None]
    if known:
        return f"{min(known):.3g} to {max(known):.3g} ({len(known)})"
    return "the proposed LR" if len(trials) == 1 else f"{len(trials)} around the proposed LR"


def _duration(seconds: float) -> str:
    if seconds == math.inf:
        return "does not fit"
    for unit, length in (("years", 365 * 86400), ("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.{1 if seconds < 10 * length else 0}f} {unit}"
    return f"{seconds:.{1 if seconds < 10 else 0}f} s"
