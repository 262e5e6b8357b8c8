"""One study in one folder: corpus, store, workers, protocol, results.json and report."""

from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lrladder.benchmark.console import make_console
from lrladder.benchmark.environment import environment, gpu_names
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import make_folder, write_text
from lrladder.benchmark.lab.older import refuse_older
from lrladder.benchmark.lab.simulated import SimulatedLab
from lrladder.benchmark.lab.store import lock
from lrladder.benchmark.studies.ending import exit_code, load_document, millinats, show_counts, stored_measurements
from lrladder.benchmark.studies.kinds import load_stored_study
from lrladder.benchmark.studies.planner import plan
from lrladder.benchmark.studies.regret.assembly import assemble
from lrladder.benchmark.studies.regret.config import SimulatedConfig, StudyConfig
from lrladder.benchmark.studies.regret.protocol import PARAMETRIZATIONS
from lrladder.benchmark.studies.regret.results import SIMULATED, Results
from lrladder.benchmark.studies.regret.study import Study, run_study
from lrladder.benchmark.studies.session import (
    EXIT_DONE,
    EXIT_INTERRUPTED,
    Session,
    in_order,
    open_session,
    write_config,
)

WritePage = Callable[[Results, Path], Path]


def run_benchmark(
    config: StudyConfig,
    out: Path,
    *,
    workers: int | None,
    write: WritePage,
    change: Callable[[], None] | None = None,
) -> int:
    """Run or continue the study in `out`; returns the exit code. Raises InputError for bad input.

    `write` makes the report of the results in a folder and returns its page.
    `change` makes the folder one of this config; it is called when nothing is left to be refused.
    """
    if config.simulated is not None:
        refuse_older(out)
        make_folder(out)
        with lock(out):
            return _simulate(config, config.simulated, out, make_console(), write)
    with open_session(config, out, workers=workers, change=change) as session:
        return _run_and_report(config, session, write)


def _simulate(config: StudyConfig, truth: SimulatedConfig, out: Path, console: Console, write: WritePage) -> int:
    """The same protocol on losses from a known law. Seconds, so nothing is stored to continue from."""
    if (out / "store.sqlite").exists():
        raise InputError(f"OUT {out} holds a study that was trained; choose another folder for a simulated one")
    write_config(config, out)
    results = run_study(
        config,
        SimulatedLab(config.rungs, truth.law_for(config.base), seed=truth.seed, **truth.bowl.model_dump()),
        corpus={"source": SIMULATED},
        environment=environment(),
    )
    write_text(out / "results.json", results.to_json())
    console.print(SIMULATED)
    show(results, write(results, out / "report"), console)
    return EXIT_DONE


def _run_and_report(config: StudyConfig, session: Session, write: WritePage) -> int:
    out, console = session.out, session.console
    planned = plan(config, corpus_tokens=len(session.corpus.train), workers=session.workers)
    interrupted = False
    with session.lab(total_flops=planned.planned.flops) as (lab, progress):
        study = Study(config, lab, on_stage=progress.stage)
        try:
            study.run()
        except KeyboardInterrupt:
            interrupted = True
    if interrupted and _is_complete(out):
        console.print("Interrupted: the complete results that were there are kept; the same command continues.")
        return EXIT_INTERRUPTED
    results = study.results(
        measurements=in_order(lab),
        corpus=dict(session.corpus.manifest),
        environment=environment(gpus=gpu_names()),
        trained_now=lab.trained_now,
    )
    write_text(out / "results.json", results.to_json())
    page = write(results, out / "report")
    show(results, page, console)
    if saved := lab.planned_tokens - lab.trained_tokens:
        console.print(f"{lab.trained_tokens:,} tokens trained now; stored trunks saved {saved:,} more")
    return exit_code(console, interrupted=interrupted, failed=len(lab.failed))


def _is_complete(out: Path) -> bool:
    try:
        return Results.from_json((out / "results.json").read_text(encoding="utf-8")).complete
    except (OSError, ValueError):
        return False


def show(results: Results, page: Path, console: Console) -> None:
    """The headline on the terminal: one row per target and paradigm, and the conclusions in words."""
    table = Table(title=f"{results.preset}: regret at held-out targets (90% intervals)")
    for column in ("target", "tokens", "paradigm", "LR", "loss, nats", "regret, millinats", "search cost, target runs"):
        table.add_column(column, justify="left" if column in ("target", "paradigm") else "right")
    for target in results.targets:
        for found in target.paradigms:
            table.add_row(
                target.rung,
                f"{target.tokens:,}",
                found.name,
                f"{found.lr:.3g}",
                "-" if found.loss is None else f"{found.loss:.4f} (n={found.n_seeds})",
                millinats(found.regret, found.regret_low, found.regret_high),
                f"{found.cost_fraction:.2f}",
            )
    console.print(table)
    for target in results.targets:
        console.print(target.conclusion, highlight=False, markup=False)
    show_counts(results.trials, page, console)


def load_results(folder: Path) -> Results:
    """Results of a study folder; from its store where a kill left no results.json. Raises InputError without either."""
    return load_document(folder, Results, results_from_store)


def results_from_store(folder: Path) -> Results:
    """What a killed run has measured so far. Proposals are not stored, so targets have no scores yet."""
    config = load_stored_study(folder)
    assert isinstance(config, StudyConfig)
    return assemble(config, measurements=stored_measurements(folder, config, PARAMETRIZATIONS))
