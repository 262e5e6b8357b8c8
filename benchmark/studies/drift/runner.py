"""One drift study in one folder: the same corpus, store and workers as a benchmark's."""

from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lrladder.benchmark.environment import environment, gpu_names
from lrladder.benchmark.folders import write_text
from lrladder.benchmark.studies.drift.config import OFF, AxesConfig, parametrization_name
from lrladder.benchmark.studies.drift.planner import plan_axes
from lrladder.benchmark.studies.drift.results import AxesResults, VariantResult
from lrladder.benchmark.studies.drift.study import assemble_axes, run_axes
from lrladder.benchmark.studies.ending import exit_code, load_document, show_counts, stored_measurements
from lrladder.benchmark.studies.kinds import load_stored_study
from lrladder.benchmark.studies.session import in_order, open_session


def run_drift_study(
    config: AxesConfig, out: Path, *, workers: int | None, write: Callable[[AxesResults, Path], Path]
) -> int:
    """Run or continue the study in `out`; returns the exit code. Raises InputError for bad input.

    `write` makes the report of the results in a folder and returns its page.
    """
    with open_session(config, out, workers=workers) as session:
        planned = plan_axes(config, corpus_tokens=len(session.corpus.train), workers=session.workers)
        interrupted = False
        with session.lab(total_flops=planned.planned.flops) as (lab, progress):
            try:
                run_axes(config, lab, on_stage=progress.stage)
            except KeyboardInterrupt:
                interrupted = True
        results = assemble_axes(
            config,
            measurements=in_order(lab),
            flops=lab.cost_flops("axes"),
            corpus=dict(session.corpus.manifest),
            environment=environment(gpus=gpu_names()),
            trained_now=lab.trained_now,
        )
        write_text(out / "results.json", results.to_json())
        show(results, write(results, out / "report"), session.console)
        return exit_code(session.console, interrupted=interrupted, failed=len(lab.failed))


def show(results: AxesResults, page: Path, console: Console) -> None:
    """One row per axis and variant on the terminal."""
    table = Table(title=f"{results.preset}: drift of the best LR, octaves per doubling (90% intervals)")
    for column in ("axis", "rules", "optima", "drift", "expected without rule", "finding", "moves, against off"):
        table.add_column(column, justify="right" if column in ("optima", "drift") else "left")
    for axis in results.axes:
        for variant in axis.variants:
            interval = "-"
            if variant.drift is not None:
                interval = f"{variant.drift:+.2f} [{variant.drift_low:+.2f}, {variant.drift_high:+.2f}]"
            known = f"{axis.expected:+.2f}" if variant.name == OFF else ""
            table.add_row(axis.axis, variant.name, f"{variant.n_optima}", interval, known, *_words(variant))
    console.print(table)
    show_counts(results.trials, page, console)


def _words(variant: VariantResult) -> tuple[str, str]:
    return ("", "") if variant.name == OFF else (variant.finding, variant.against_off or "")


def load_axes_results(folder: Path) -> AxesResults:
    """Results of a drift study; from its store where a kill left no results.json. Raises InputError without either."""
    return load_document(folder, AxesResults, _from_store)


def _from_store(folder: Path) -> AxesResults:
    config = load_stored_study(folder)
    assert isinstance(config, AxesConfig)
    names = [parametrization_name(axis.axis, variant) for axis in config.axes for variant in axis.variants]
    return assemble_axes(config, measurements=stored_measurements(folder, config, names))
