"""Every run of a Power study before anything runs."""

from lrladder.benchmark.studies.planner import Plan, plan_sweeps, search_sweep
from lrladder.benchmark.studies.schedules.config import SCHEDULES, PowerStudyConfig


def plan_power(
    config: PowerStudyConfig,
    *,
    corpus_tokens: int | None = None,
    workers: int = 1,
    flops_per_second: float | None = None,
) -> Plan:
    """One trunk serves all horizons of WSD and of Power; cosine is a run for each."""
    sweeps = (
        search_sweep(schedule, rung, schedule, config.search)
        for family in config.families
        for schedule in SCHEDULES
        for rung in config.swept_rungs(family, schedule)
    )
    longest = max(config.horizons)
    repeats = corpus_tokens is not None and longest > corpus_tokens
    notes = (
        (f"the longest horizon, {longest:,} tokens, repeats the corpus of {corpus_tokens:,} tokens",) if repeats else ()
    )
    return plan_sweeps(config, sweeps, notes=notes, workers=workers, flops_per_second=flops_per_second)
