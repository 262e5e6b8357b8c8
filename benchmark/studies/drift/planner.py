"""Every run of a drift study before anything runs."""

from collections.abc import Iterator

from lrladder.benchmark.lab.resolve import resolve
from lrladder.benchmark.studies.drift.config import AxesConfig, parametrization_name
from lrladder.benchmark.studies.planner import Plan, Sweep, plan_sweeps, search_sweep
from lrladder.paradigms.lab import Request


def plan_axes(
    config: AxesConfig, *, corpus_tokens: int | None = None, workers: int = 1, flops_per_second: float | None = None
) -> Plan:
    """Each distinct run once: at the base, most variants are one function."""
    longest = max(max(rung.horizons) for rung in config.rungs)
    notes = ["points that are one function are trained once and are listed where they come first"]
    if corpus_tokens is not None and longest > corpus_tokens:
        notes.append(f"the longest horizon, {longest:,} tokens, repeats the corpus of {corpus_tokens:,} tokens")
    return plan_sweeps(config, _sweeps(config), notes=tuple(notes), workers=workers, flops_per_second=flops_per_second)


def _sweeps(config: AxesConfig) -> Iterator[Sweep]:
    known: set[str] = set()
    for axis in config.axes:
        for variant in axis.variants:
            for rung in config.points(axis):
                name = parametrization_name(axis.axis, variant)
                horizons = tuple(h for h in rung.horizons if not _ids(config, rung.name, name, h) <= known)
                known |= {key for horizon in rung.horizons for key in _ids(config, rung.name, name, horizon)}
                if horizons:
                    yield search_sweep(axis.axis, rung._replace(horizons=horizons), name, config.search)


def _ids(config: AxesConfig, rung: str, parametrization: str, horizon: int) -> set[str]:
    request = Request(rung, parametrization, 1.0, 0, (horizon,))
    return {trial.id for trial in resolve(request, config, corpus_digest="", precision="fp32")}
