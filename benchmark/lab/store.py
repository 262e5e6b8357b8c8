"""Where measurements live: SQLite for questions, one append-only jsonl per trial to rebuild it from."""

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import open_plain, require_plain
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.trial_log import read_log

VERSION = "3"
FILES = ("store.sqlite", "store.sqlite-wal", "store.sqlite-shm", "store.sqlite-journal")  # that SQLite opens
TABLES = """
CREATE TABLE IF NOT EXISTS study (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS trials (id TEXT PRIMARY KEY, spec TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS measurements (
    trial_id TEXT NOT NULL REFERENCES trials (id), horizon INTEGER NOT NULL, data TEXT NOT NULL,
    PRIMARY KEY (trial_id, horizon));
"""


class Store:
    """Results of one study: only `finished` and `diverged` trials, which are results; faults stay in the logs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in FILES:
            require_plain(folder / name)
        self._db = sqlite3.connect(folder / "store.sqlite")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.executescript(TABLES)

    @classmethod
    def open(cls, folder: Path, *, config_digest: str, corpus_digest: str) -> "Store":
        """Open or create. Raises InputError if the file is damaged or holds another study; nothing is changed then."""
        is_new = not (folder / "store.sqlite").exists()
        store = cls.reopen(folder)
        store._check(config=config_digest, corpus=corpus_digest)
        if is_new:
            store.rebuild_from_logs()
        return store

    @classmethod
    def reopen(cls, folder: Path) -> "Store":
        """Open whatever study is there. Raises InputError for a damaged file, which is left alone."""
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
        for key, now in {"version": VERSION, **digests}.items():
            if known.get(key, now) != now:
                raise InputError(
                    f"{self.folder} holds a study with another {key} ({known[key]}, now {now}); "
                    "its results are kept: choose another OUT"
                )
        with self._db:
            self._db.executemany("INSERT OR IGNORE INTO study VALUES (?, ?)", {"version": VERSION, **digests}.items())

    def retarget(self, config_digest: str) -> None:
        """Let the study's config change to one that asks for more; what has been measured stays."""
        with self._db:
            self._db.execute("UPDATE study SET value = ? WHERE key = 'config'", (config_digest,))

    def get(self, trial: Trial) -> list[TrialMeasurement] | None:
        """Measurements of a trial by horizon, or None if it has to be trained."""
        rows = self._db.execute("SELECT data FROM measurements WHERE trial_id = ? ORDER BY horizon", (trial.id,))
        found = [TrialMeasurement.model_validate_json(data) for (data,) in rows]
        return found if [m.horizon for m in found] == list(trial.horizons) else None

    def all(self) -> list[tuple[Trial, list[TrialMeasurement]]]:
        """Every trial with what it gave, in the order of their ids."""
        trials = [
            Trial.model_validate_json(spec) for (spec,) in self._db.execute("SELECT spec FROM trials ORDER BY id")
        ]
        return [(trial, found) for trial in trials if (found := self.get(trial)) is not None]

    def put(self, trial: Trial, measurements: Iterable[TrialMeasurement]) -> None:
        """Keep a trial's measurements, in one transaction. A trial that is there already stays as it was."""
        rows = [(trial.id, m.horizon, m.model_dump_json()) for m in measurements]
        with self._db:
            self._db.execute("INSERT OR IGNORE INTO trials VALUES (?, ?)", (trial.id, trial.model_dump_json()))
            self._db.executemany("INSERT OR IGNORE INTO measurements VALUES (?, ?, ?)", rows)

    def rebuild_from_logs(self) -> int:
        """Take in every trial whose log is complete; returns how many."""
        logs = [read_log(path) for path in sorted((self.folder / "trials").glob("*.jsonl"))]
        complete = [found for found in logs if found is not None]
        for trial, measurements in complete:
            self.put(trial, measurements)
        return len(complete)

    def close(self) -> None:
        self._db.close()


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold a study folder. Raises InputError while another process does; a killed holder frees it."""
    with os.fdopen(open_plain(folder / ".lock", os.O_RDWR | os.O_APPEND), "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise InputError(
                f"{folder} is in use by another lrladder run (pid {file.read().strip() or 'unknown'}); "
                "wait for it or choose another OUT"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)  # whoever looks on sees that no run is going on
