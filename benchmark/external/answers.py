"""Reads what a trainer has to tell: a table with a row per run, by the name that the run was asked for under."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.register import Told
from lrladder.benchmark.own_runs.columns import ALIASES, STATUS, guesses, near_names, only_place
from lrladder.benchmark.own_runs.files import flat, read_text
from lrladder.benchmark.own_runs.numerals import numbers
from lrladder.benchmark.own_runs.status import DIVERGED, EMPTY, FINISHED
from lrladder.benchmark.own_runs.table import DIVERGED as NO_NUMBER
from lrladder.benchmark.reading import printable

COLUMNS = ("name", "loss", "status", "seconds", "message")
NEEDED = ("name", "loss")
OTHER_NAMES = {
    "name": ("name", "run_name", "runname", "run", "job_name", "job", "experiment"),
    "loss": ALIASES["loss"],
}
# States of W&B, MLflow and Slurm. What is not over yet is told later; what failed is asked for again.
NOT_OVER = ("running", "pending", "queued", "scheduled", "submitted", "preempting", "preempted", "requeued")
FAILED = (
    "failed",
    "crashed",
    "killed",
    "error",
    "cancelled",
    "canceled",
    "timeout",
    "out_of_memory",
    "oom",
    "node_fail",
)


class Row(NamedTuple):
    """A row as it was written, in text. `place` is its number in the file."""

    place: int
    name: str
    loss: str
    status: str
    seconds: str
    message: str


class Answers(NamedTuple):
    """The rows of a file, which messages call `source`."""

    source: str
    rows: tuple[Row, ...]

    @classmethod
    def of_file(cls, path: Path, columns: Mapping[str, str]) -> "Answers":
        """`columns` maps our names to those of the file. Raises InputError."""
        return _answers(str(path), read_text(path, ", ".join(NEEDED)), columns)

    @classmethod
    def of_rows(cls, rows: Iterable[Mapping[str, object]], columns: Mapping[str, str]) -> "Answers":
        """Rows with the keys of COLUMNS, or those that `columns` maps them to. Raises InputError."""
        given = [dict(row) for row in rows]
        keys = list(dict.fromkeys(chain.from_iterable(given)))  # with those whose values are all None
        table = pd.DataFrame.from_records([flat(row) for row in given], columns=keys).astype(object).fillna("")
        table.index = pd.RangeIndex(1, len(table) + 1)
        return _answers("rows", table, columns) if len(table) else cls("rows", ())

    def refuse(self, row: Row, why: str) -> InputError:
        return InputError(f"{self.source}: row {row.place}: {row.name}: {why}")

    def told(self, row: Row) -> Told | None:
        """What a row says; None if its run is not over yet. Raises InputError."""
        status, loss = row.status.lower(), row.loss.lower()
        seconds = self._seconds(row)
        if status in NOT_OVER:
            return None
        if status in FAILED:
            return Told(row.name, "failed", seconds=seconds, message=row.message or status)
        if status in DIVERGED:
            return Told(row.name, "diverged", seconds=seconds, message=row.message)
        if status not in ("", *FINISHED):
            raise self.refuse(row, f"status {row.status!r} is not known; write finished, diverged, failed or running")
        if loss in EMPTY:
            return None
        if loss in NO_NUMBER:
            return Told(row.name, "diverged", seconds=seconds, message=row.message or f"its loss is {row.loss}")
        value = _number(row.loss)
        if not (np.isfinite(value) and value > 0):
            why = f"loss {row.loss!r} is no loss in nats per token; write a positive number, or nan for a diverged run"
            raise self.refuse(row, why)
        return Told(row.name, "finished", value, seconds, row.message)

    def _seconds(self, row: Row) -> float | None:
        if row.seconds.lower() in EMPTY:
            return None
        value = _number(row.seconds)
        if not (np.isfinite(value) and value >= 0):
            raise self.refuse(row, f"seconds {row.seconds!r} is no number of seconds; correct it, or leave it empty")
        return value


def _number(text: str) -> float:
    """As it is written, to the last bit, or as people group digits. NaN for other text."""
    with suppress(ValueError):
        return float(text)
    return float(numbers(pd.Series([text])).iloc[0])


def _answers(source: str, table: pd.DataFrame, columns: Mapping[str, str]) -> Answers:
    names = [str(name) for name in table.columns]
    places = dict(_places(source, names, columns))
    missing = [ours for ours in NEEDED if ours not in places]
    is_all_failed = missing == ["loss"] and "status" in places and not guesses(names, missing, OTHER_NAMES)
    if missing and not is_all_failed:
        raise InputError(f"{source}: {_missing(missing, names)}")
    blank = [""] * len(table)
    cells = [list(table.iloc[:, places[ours]]) if ours in places else blank for ours in COLUMNS]
    rows = (Row(int(place), *map(printable, found)) for place, *found in zip(table.index, *cells, strict=True))
    return Answers(source, tuple(rows))


def _places(source: str, names: list[str], columns: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Of our columns, by the user's word, else by our own names in any case: W&B writes Name and State."""
    for ours in COLUMNS:
        own = STATUS if ours == "status" else (ours,)
        if ours in columns:
            if columns[ours] not in names:
                near = near_names(columns[ours], names)
                raise InputError(f"{source}: --columns {ours}={columns[ours]}: no such column; {near}")
            yield ours, only_place(source, names, columns[ours])
        elif found := [name for name in names if name.lower() in own]:
            yield ours, only_place(source, names, found[0])


def _missing(missing: list[str], names: list[str]) -> str:
    found = guesses(names, missing, OTHER_NAMES)
    option = ",".join(f"{ours}={theirs}" for ours, theirs in found.items())
    said = f"no column {', '.join(missing)}"
    if option:
        return f"{said}; if these columns have that meaning, add --columns {option!r}"
    return f"{said}; name it with --columns, as in name=run,loss=eval/loss; the columns are {', '.join(names)[:200]}"
