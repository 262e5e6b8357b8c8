"""How a study of any kind ends: in its folder, on the terminal and in its exit code."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from lrladder.benchmark.documents import Document
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.resolve import Setup
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.lab.trained import labels_of
from lrladder.benchmark.studies.counts import TrialCounts
from lrladder.benchmark.studies.session import EXIT_DONE, EXIT_FAILED_TRIALS, EXIT_INTERRUPTED
from lrladder.paradigms.lab import Measurement, ParametrizationName

Kind = TypeVar("Kind", bound=Document)


def show_counts(counts: TrialCounts, page: Path, console: Console) -> None:
    console.print(
        f"{counts.finished} trials finished, {counts.diverged} diverged, {counts.failed} failed; "
        f"{counts.trained_now} trained now"
    )
    console.print(f"Report: {page}", soft_wrap=True, markup=False)


def exit_code(console: Console, *, interrupted: bool, failed: int) -> int:
    if interrupted:
        console.print("Interrupted: everything measured is kept; the same command continues.")
        return EXIT_INTERRUPTED
    return EXIT_FAILED_TRIALS if failed else EXIT_DONE


def millinats(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "-"
    interval = "" if low is None or high is None else f" [{1e3 * low:.1f}, {1e3 * high:.1f}]"
    return f"{1e3 * value:.1f}{interval}"


def load_document(folder: Path, kind: type[Kind], from_store: Callable[[Path], Kind]) -> Kind:
    """A study's results.json; from its store where a kill left none. Raises InputError without either."""
    path = folder / "results.json"
    if not path.exists() and (folder / "store.sqlite").exists():
        return from_store(folder)
    try:
        return kind.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; run `lrladder run PRESET --out {folder}` first") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read; run `lrladder run` again to write it from the store") from error


def stored_measurements(
    folder: Path, study: Setup, parametrizations: Sequence[ParametrizationName]
) -> list[Measurement]:
    """All that a folder's store holds, under the names that the study has for it."""
    return [
        measurement.labelled(label)
        for trial, measurements in Store.reopen(folder).all()
        for label in labels_of(trial, study, parametrizations)
        for measurement in measurements
    ]
