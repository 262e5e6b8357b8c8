"""Stores measurements in SQLite. The database can be rebuilt from the append-only jsonl log of each trial."""

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lrladder.benchmark import upgrade
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.older import STORE_VERSION, refuse_older
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.trial_log import read_log

TABLES = """
CREATE TABLE IF NOT EXISTS study (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS trials (id TEXT PRIMARY KEY, spec TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS measurements (
    trial_id TEXT NOT NULL REFERENCES trials (id), horizon INTEGER NOT NULL, data TEXT NOT NULL,
    PRIMARY KEY (trial_id, horizon));
"""


class Store:
    """The results of one study: trials that `finished` or `diverged`. Failed trials are only in the logs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._db = sqlite3.connect(folder / "store.sqlite")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.executescript(TABLES)

    @classmethod
    def open(cls, folder: Path, *, config_digest: str, corpus_digest: str) -> "Store":
        """Open or create a store. Raises InputError, and changes nothing, if it is damaged or holds another study."""
        refuse_older(folder)
        is_new = not (folder / "store.sqlite").exists()
        store = cls.reopen(folder)
        store._check(config=config_digest, corpus=corpus_digest)
        if is_new:
            store.rebuild_from_logs()
        return store

    @classmethod
    def reopen(cls, folder: Path) -> "Store":
        """Open the store of any study. Raises InputError for a damaged file, which is not changed."""
        try:
            store = cls(folder)
            if store._db.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("integrity check failed")
        except sqlite3.OperationalError as error:
            raise InputError(
                f"{folder / 'store.sqlite'} cannot be opened ({error}); "
                "close what uses it, check permissions and disk space, and run again"
            ) from error
        except sqlite3.DatabaseError as error:
            raise InputError(
                f"{folder / 'store.sqlite'} is not a readable store ({error}); "
                "move it aside and run again: it is rebuilt from trials/"
            ) from error
        return store

    def _check(self, **digests: str) -> None:
        known = dict(self._db.execute("SELECT key, value FROM study"))
        for key, now in digests.items():
            if known.get(key, now) != now:
                raise InputError(
                    f"{self.folder} holds a study with another {key} ({known[key]}, now {now}); "
                    "its results are kept: choose another OUT"
                )
        with self._db:
            self._db.executemany(
                "INSERT OR IGNORE INTO study VALUES (?, ?)", {"version": str(STORE_VERSION), **digests}.items()
            )

    def retarget(self, config_digest: str) -> None:
        """Assign the store to another config, which asks for more trials. All measurements stay."""
        with self._db:
            self._db.execute("UPDATE study SET value = ? WHERE key = 'config'", (config_digest,))

    def get(self, trial: Trial) -> list[TrialMeasurement] | None:
        """Measurements of a trial, one per horizon; None if the trial is not stored."""
        return self._measurements(trial.id, trial.horizons)

    def _measurements(self, trial_id: str, horizons: Sequence[int]) -> list[TrialMeasurement] | None:
        rows = self._db.execute("SELECT data FROM measurements WHERE trial_id = ? ORDER BY horizon", (trial_id,))
        found = [TrialMeasurement.model_validate(upgrade.measurement(json.loads(data))) for (data,) in rows]
        return found if [m.horizon for m in found] == list(horizons) else None

    def all(self) -> list[tuple[Trial, list[TrialMeasurement]]]:
        """Every trial with its measurements, in order of the ids.

        Measurements keep the id under which they were stored. It differs from the id of the trial if an older version
        stored them.
        """
        rows = self._db.execute("SELECT id, spec FROM trials ORDER BY id").fetchall()
        trials = {key: Trial.model_validate_json(json.dumps(upgrade.trial(json.loads(spec)))) for key, spec in rows}
        found = {key: self._measurements(key, trial.horizons) for key, trial in trials.items()}
        return [(trials[key], measurements) for key, measurements in found.items() if measurements is not None]

    def put(self, trial: Trial, measurements: Iterable[TrialMeasurement]) -> None:
        """Store the measurements of a trial, in one transaction. A trial that is already stored is not changed."""
        rows = [(trial.id, m.horizon, m.model_dump_json()) for m in measurements]
        with self._db:
            self._db.execute("INSERT OR IGNORE INTO trials VALUES (?, ?)", (trial.id, trial.model_dump_json()))
            self._db.executemany("INSERT OR IGNORE INTO measurements VALUES (?, ?, ?)", rows)

    def rebuild_from_logs(self) -> int:
        """Store every trial that has a complete log. Returns their number."""
        logs = [read_log(path) for path in sorted((self.folder / "trials").glob("*.jsonl"))]
        complete = [found for found in logs if found is not None]
        for trial, measurements in complete:
            self.put(trial, measurements)
        return len(complete)

    def close(self) -> None:
        self._db.close()


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Lock a study folder. Raises InputError if another process holds the lock, which ends with that process."""
    with (folder / ".lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise InputError(
                f"{folder} is in use by another lrladder process (pid {file.read().strip() or 'unknown'}); "
                "wait for it or choose another OUT"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)  # tells `status` that the study is not running
