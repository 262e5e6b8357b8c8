"""One study in one folder: corpus, store, workers, protocol, results.json and report."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal

import yaml
from rich.console import Console
from rich.table import Table

from benchmark.assembly import assemble
from benchmark.config import StudyConfig, load_config
from benchmark.console import make_console
from benchmark.environment import cuda_devices, default_workers, environment, gpu_names
from benchmark.errors import InputError
from benchmark.lab.executors import LocalExecutor
from benchmark.lab.progress import Progress
from benchmark.lab.store import Store, lock
from benchmark.lab.trained import TrainedLab
from benchmark.lab.trial import Trial
from benchmark.planner import plan
from benchmark.results import Results
from benchmark.study import Study
from benchmark.training.corpus import Corpus, prepare
from models.experts.megablocks import unavailable_reason
from paradigms.base import Measurement
from reports.page import write

EXIT_DONE, EXIT_FAILED_TRIALS, EXIT_INTERRUPTED = 0, 3, 130


def run_benchmark(config: StudyConfig, out: Path, *, workers: int | None) -> int:
    """Run or continue the study in `out`; returns the exit code. Raises InputError for bad input."""
    if config.expert_backend == "megablocks":
        raise InputError(unavailable_reason())
    make_folder(out)
    console = make_console()
    with lock(out):
        console.print("Preparing the corpus (once: up to half a minute, then cached) ...")
        corpus = prepare(config.corpus, seq_len=config.ladder.seq_len, cache=cache_folder())
        corpus.require(max(max(rung.horizons) for rung in config.rungs))
        store = Store.open(out, config_digest=config.digest, corpus_digest=corpus.digest)
        write_text(out / "config.yaml", yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
        return _run_and_report(config, out, corpus, store, workers or default_workers(), console)


def _run_and_report(
    config: StudyConfig, out: Path, corpus: Corpus, store: Store, workers: int, console: Console
) -> int:
    planned = plan(config, corpus_tokens=len(corpus.train), workers=workers)
    code = EXIT_DONE
    with _workers(config, out, corpus, workers) as executor:
        progress = Progress(console, total_flops=planned.planned.flops)
        precision: Literal["fp32", "bf16"] = "bf16" if gpu_names() else "fp32"
        lab = TrainedLab(config, corpus.digest, store, executor, progress, precision=precision)
        study = Study(config, lab, on_stage=progress.stage)
        with progress:
            try:
                study.run()
            except KeyboardInterrupt:
                code = EXIT_INTERRUPTED
    if code == EXIT_INTERRUPTED and _is_complete(out):
        console.print("Interrupted: the complete results that were there are kept; the same command continues.")
        return code
    results = study.results(
        measurements=sorted(lab.seen.values(), key=_by_place),  # sums must not depend on which run ended first
        corpus=dict(corpus.manifest),
        environment=environment(gpus=gpu_names()),
        trained_now=lab.trained_now,
    )
    write_text(out / "results.json", results.to_json())
    page = write(results, out / "report")
    show(results, page, console)
    if code == EXIT_INTERRUPTED:
        console.print("Interrupted: everything measured is kept; the same command continues.")
        return code
    return EXIT_FAILED_TRIALS if lab.failed else code


def _by_place(m: Measurement) -> tuple[str, str, int, float, int]:
    return m.rung, m.parametrization, m.horizon, m.lr, m.seed


def _is_complete(out: Path) -> bool:
    try:
        return Results.from_json((out / "results.json").read_text(encoding="utf-8")).complete
    except (OSError, ValueError):
        return False


@contextmanager
def _workers(config: StudyConfig, out: Path, corpus: Corpus, workers: int) -> Iterator[LocalExecutor]:
    start = partial(start_worker, corpus.path, config.ladder.seq_len, config.corpus.val_documents)
    executor = LocalExecutor(out, start, workers=workers, devices=cuda_devices())
    try:
        yield executor
    finally:
        executor.close()


def start_worker(
    corpus_path: Path, seq_len: int, val_documents: int
) -> Callable[[Trial, Callable[[dict[str, object]], None]], list[Measurement]]:
    """In a worker: import the training stack and open the corpus once; returns what trains one trial."""
    import torch

    from benchmark.training.corpus import load
    from benchmark.training.loop import train

    torch.set_num_threads(1)
    corpus = load(corpus_path, seq_len, val_documents)

    def run(trial: Trial, log: Callable[[dict[str, object]], None]) -> list[Measurement]:
        return train(trial, corpus, log=log)

    return run


def show(results: Results, page: Path, console: Console) -> None:
    """The headline on the terminal: one row per target and paradigm, and the verdicts in words."""
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
                _millinats(found.regret, found.regret_low, found.regret_high),
                f"{found.cost_fraction:.2f}",
            )
    console.print(table)
    for target in results.targets:
        console.print(target.verdict, highlight=False, markup=False)
    counts = results.trials
    console.print(
        f"{counts.finished} trials finished, {counts.diverged} diverged, {counts.failed} failed; "
        f"{counts.trained_now} trained now"
    )
    console.print(f"Report: {page}", soft_wrap=True, markup=False)


def _millinats(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "-"
    interval = "" if low is None or high is None else f" [{1e3 * low:.1f}, {1e3 * high:.1f}]"
    return f"{1e3 * value:.1f}{interval}"


def load_results(folder: Path) -> Results:
    """Results of a study folder; from its store where a kill left no results.json. Raises InputError without either."""
    path = folder / "results.json"
    if not path.exists() and (folder / "store.sqlite").exists():
        return results_from_store(folder)
    try:
        return Results.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; run `lrladder run PRESET --out {folder}` first") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read; run `lrladder run` again to write it from the store") from error


def results_from_store(folder: Path) -> Results:
    """What a killed run has measured so far. Proposals are not stored, so targets have no scores yet."""
    config = load_config(str(folder / "config.yaml"))
    names = {rung.shape: rung.name for rung in config.rungs}
    measured = [
        measurement.model_copy(update={"rung": names[trial.shape]})
        for trial, measurements in Store.reopen(folder).all()
        for measurement in measurements
        if trial.shape in names
    ]
    return assemble(config, measurements=measured)


def make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=out):
            pass
    except OSError as error:
        raise InputError(f"OUT {out} cannot be written ({error.strerror}); choose another folder") from error


def write_text(path: Path, text: str) -> None:
    """Replace a file in one step, so that an interruption leaves the old one or the new one."""
    temporary = path.with_suffix(path.suffix + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def cache_folder() -> Path:
    """Where tokenized corpora are kept: LRLADDER_CACHE, else the user's cache folder."""
    named = os.environ.get("LRLADDER_CACHE")
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "lrladder"
