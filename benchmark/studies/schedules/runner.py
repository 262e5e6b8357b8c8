"""One Power study in one folder: the same corpus, store and workers as a benchmark's."""

from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lrladder.benchmark.environment import environment, gpu_names
from lrladder.benchmark.folders import write_text
from lrladder.benchmark.studies.ending import exit_code, load_document, millinats, show_counts, stored_measurements
from lrladder.benchmark.studies.kinds import load_stored_study
from lrladder.benchmark.studies.schedules.config import SCHEDULES, PowerStudyConfig
from lrladder.benchmark.studies.schedules.planner import plan_power
from lrladder.benchmark.studies.schedules.results import PowerResults
from lrladder.benchmark.studies.schedules.study import assemble_power, run_power
from lrladder.benchmark.studies.session import in_order, open_session


def run_power_study(
    config: PowerStudyConfig, out: Path, *, workers: int | None, write: Callable[[PowerResults, Path], Path]
) -> int:
    """Run or continue the study in `out`; returns the exit code. Raises InputError for bad input.

    `write` makes the report of the results in a folder and returns its page.
    """
    with open_session(config, out, workers=workers) as session:
        planned = plan_power(config, corpus_tokens=len(session.corpus.train), workers=session.workers)
        interrupted = False
        with session.lab(total_flops=planned.planned.flops) as (lab, progress):
            try:
                run_power(config, lab, on_stage=progress.stage)
            except KeyboardInterrupt:
                interrupted = True
        results = assemble_power(
            config,
            measurements=in_order(lab),
            flops=sum(lab.cost_flops(schedule) for schedule in SCHEDULES),
            corpus=dict(session.corpus.manifest),
            environment=environment(gpus=gpu_names()),
            trained_now=lab.trained_now,
        )
        write_text(out / "results.json", results.to_json())
        show(results, write(results, out / "report"), session.console)
        return exit_code(session.console, interrupted=interrupted, failed=len(lab.failed))


def show(results: PowerResults, page: Path, console: Console) -> None:
    """One row per family and schedule on the terminal."""
    table = Table(title=f"{results.preset}: one LR setting from the smallest cell, against tuning every cell (90%)")
    for column in (
        "family",
        "schedule",
        "LR there",
        "over",
        "cells",
        "mean regret, millinats",
        "worst",
        "tokens, own runs = 1",
    ):
        table.add_column(column, justify="left" if column in ("family", "schedule", "over") else "right")
    for setting in results.settings:
        table.add_row(
            setting.family,
            setting.schedule,
            "-" if setting.lr is None else f"{setting.lr:.3g}",
            setting.scope,
            f"{setting.n_cells}",
            millinats(setting.mean_regret, setting.mean_low, setting.mean_high),
            millinats(setting.worst_regret, None, None),
            f"{setting.tokens_share:.2f}",
        )
    console.print(table)
    show_counts(results.trials, page, console)


def load_power_results(folder: Path) -> PowerResults:
    """Results of a Power study; from its store where a kill left no results.json. Raises InputError without either."""
    return load_document(folder, PowerResults, _from_store)


def _from_store(folder: Path) -> PowerResults:
    config = load_stored_study(folder)
    assert isinstance(config, PowerStudyConfig)
    return assemble_power(config, measurements=stored_measurements(folder, config, SCHEDULES))
