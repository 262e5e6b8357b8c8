"""Reads what a folder holds of its trials, from the database and the logs. Nothing is written."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from lrladder.benchmark.folders import require_plain
from lrladder.benchmark.lab import summaries
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.rows import StoredTrial, connect, refusing, whole_trials
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.trial_log import complete_logs

Found = TypeVar("Found")


def read_trials(folder: Path) -> list[tuple[Trial, list[TrialMeasurement]]]:
    """Every trial of a study with its measurements, in the order of their ids, from the logs and the store.

    Nothing is written, so a folder may be read-only. Raises InputError if there are no logs and the store is damaged.
    """
    logs = dict(complete_logs(folder))
    stored: dict[str, StoredTrial] = {}
    try:
        stored = _read_store(folder)
    except sqlite3.Error:
        if not logs:
            with refusing(folder):
                raise
    found = {key: (one.trial, one.measurements) for key, one in stored.items()}
    for key, state in logs.items():
        if key not in stored or state.sealed or not stored[key].sealed:
            found[key] = (state.trial, list(state.measurements))
    return [found[key] for key in sorted(found)]


def read_summaries(folder: Path) -> summaries.Summaries | None:
    """The summaries in the store of a folder; None if there is no store.

    Raises sqlite3.Error or ValueError for a damaged store.
    """
    return _read(folder, summaries.read)


def _read_store(folder: Path) -> dict[str, StoredTrial]:
    """The whole trials in the store of a folder; empty if there is no store. Raises sqlite3.Error."""
    return _read(folder, whole_trials) or {}


def _read(folder: Path, query: Callable[[sqlite3.Connection], Found]) -> Found | None:
    """The answer to a query of a store, which is not written to; None if there is no store. Raises sqlite3.Error."""
    path = folder / "store.sqlite"
    require_plain(path)
    if not path.exists():
        return None
    address = f"file:{quote(os.fsencode(path.resolve()))}"
    try:
        with closing(connect(f"{address}?mode=ro", uri=True)) as db:
            return query(db)
    except sqlite3.OperationalError:  # a read-only folder, in which SQLite cannot make its other files
        with closing(connect(f"{address}?immutable=1", uri=True)) as db:
            return query(db)
