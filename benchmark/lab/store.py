"""Stores measurements in SQLite. The database can be mended and rebuilt from the append-only jsonl logs of trials."""

import fcntl
import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import quote

from lrladder.benchmark import upgrade
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import open_plain, require_plain
from lrladder.benchmark.lab import summaries
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.older import STORE_VERSION, refuse_older
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.trial_log import LogState, last_attempt, read_state

FILES = ("store.sqlite", "store.sqlite-wal", "store.sqlite-shm", "store.sqlite-journal")  # that SQLite opens
TABLES = """
CREATE TABLE IF NOT EXISTS study (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS trials (id TEXT PRIMARY KEY, spec TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS measurements (
    trial_id TEXT NOT NULL REFERENCES trials (id), horizon INTEGER NOT NULL, data TEXT NOT NULL,
    PRIMARY KEY (trial_id, horizon));
CREATE TABLE IF NOT EXISTS digests (
    trial_id TEXT NOT NULL, horizon INTEGER NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (trial_id, horizon));
"""
ROWS = (
    "SELECT m.trial_id, t.spec, m.horizon, m.data, d.digest FROM measurements m JOIN trials t ON t.id = m.trial_id "
    "LEFT JOIN digests d ON d.trial_id = m.trial_id AND d.horizon = m.horizon"
)
OLDER_ROWS = "SELECT m.trial_id, t.spec, m.horizon, m.data, NULL FROM measurements m JOIN trials t ON t.id = m.trial_id"

Found = TypeVar("Found")


class Store:
    """The stored results of one study: its trials that finished or diverged. Failed trials are only in the logs.

    Every row has a digest. A damaged row counts as missing. `mended` is the number of trials taken from logs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.mended = folder, 0
        for name in FILES:
            require_plain(folder / name)
        self._db = _connect(str(folder / "store.sqlite"))
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")  # what has been put survives a power cut
        self._db.executescript(TABLES + summaries.TABLE)

    @classmethod
    def open(cls, folder: Path, *, config_digest: str, corpus_digest: str) -> "Store":
        """Open or create a store, and mend it from the logs.

        Raises InputError, and changes nothing, if it is damaged or holds another study.
        """
        refuse_older(folder)
        store = cls.reopen(folder)
        with _refusing(folder):
            store._check(config=config_digest, corpus=corpus_digest)
            store._mend()
        return store

    @classmethod
    def reopen(cls, folder: Path) -> "Store":
        """Open the store of any study. Raises InputError for a damaged file, which is not changed."""
        with _refusing(folder):
            store = cls(folder)
            if store._db.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("integrity check failed")
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
        found = _stored(self._db, trial.id).get(trial.id)
        return found.measurements if found is not None else None

    def all(self) -> list[tuple[Trial, list[TrialMeasurement]]]:
        """Every trial with its measurements, in order of the ids.

        Measurements keep the id under which they were stored. It differs from the id of the trial if an older version
        stored them.
        """
        return [(found.trial, found.measurements) for _, found in sorted(_stored(self._db).items())]

    def put(self, trial: Trial, measurements: Sequence[TrialMeasurement]) -> None:
        """Store the measurements of a trial, in one transaction. A trial that is already stored is not changed."""
        if self.get(trial) is None:
            self._write(trial, measurements)

    def replace(self, trial: Trial, measurements: Sequence[TrialMeasurement]) -> None:
        """As `put`, in the place of what is stored. The log of the trial must have these measurements already."""
        self._write(trial, measurements)

    def digest(self, key: str) -> str | None:
        """What is known of the study by a key, such as the digest of its config or corpus; None for a new store."""
        found = self._db.execute("SELECT value FROM study WHERE key = ?", (key,)).fetchone()
        return None if found is None else str(found[0])

    def next_attempt(self) -> int:
        """A number for one more attempt to train a trial, above all numbers before it in this study."""
        with self._db:
            known = self.digest("attempts")
            number = 1 + (int(known) if known and known.isdecimal() else last_attempt(self.folder))
            self._db.execute("INSERT OR REPLACE INTO study VALUES ('attempts', ?)", (str(number),))
        return number

    def _write(self, trial: Trial, measurements: Sequence[TrialMeasurement]) -> None:
        rows = [(trial.id, m.horizon, _to_json(m)) for m in measurements]
        with self._db:
            self._db.execute("DELETE FROM measurements WHERE trial_id = ?", (trial.id,))  # damaged or partial ones
            self._db.execute("INSERT OR REPLACE INTO trials VALUES (?, ?)", (trial.id, trial.model_dump_json()))
            self._db.executemany("INSERT OR REPLACE INTO measurements VALUES (?, ?, ?)", rows)
            digests = [(*row[:2], _digest(*row)) for row in rows]
            self._db.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?)", digests)
            summaries.put(self._db, trial, measurements)

    def _mend(self) -> None:
        """Store every trial whose complete log has something that the rows here lack or contradict."""
        stored = _stored(self._db)
        for key, state in _complete_logs(self.folder):
            there = stored.get(key)
            is_same = there is not None and _texts(there.measurements) == _texts(state.measurements)
            if there is None or not there.sealed or (state.sealed and not is_same):
                self._write(state.trial, state.measurements)
                self.mended += not is_same
        with self._db:  # of trials that an older version stored
            for key in summaries.missing(self._db):
                if key in stored:
                    summaries.put(self._db, stored[key].trial, stored[key].measurements)

    def close(self) -> None:
        """Close the database."""
        self._db.close()


class _Stored(NamedTuple):
    """A trial whose rows are whole. `sealed` says whether all of them have a digest; older versions wrote none."""

    trial: Trial
    measurements: list[TrialMeasurement]
    sealed: bool


def _connect(address: str, *, uri: bool = False) -> sqlite3.Connection:
    db = sqlite3.connect(address, uri=uri)
    db.text_factory = lambda data: data.decode("utf-8", errors="replace")  # the digest finds a damaged row later
    return db


def _to_json(measurement: TrialMeasurement) -> str:
    """JSON in which NaN stays NaN. pydantic would write null, which it could not read again."""
    return json.dumps(measurement.model_dump(mode="json"))


def _texts(measurements: Iterable[TrialMeasurement]) -> list[str]:
    """Texts by which measurements can be compared even if they have NaN, which does not equal itself."""
    return [_to_json(m) for m in measurements]


def _digest(trial_id: str, horizon: int, data: str) -> str:
    return hashlib.sha256(f"{trial_id} {horizon} {data}".encode()).hexdigest()


@contextmanager
def _decoded() -> Iterator[None]:
    """Raise sqlite3.DatabaseError in place of UnicodeDecodeError.

    A damaged schema can put bytes that are not text into SQLite's own error message.
    """
    try:
        yield
    except UnicodeDecodeError as error:
        raise sqlite3.DatabaseError("the schema holds bytes that are not text") from error


@_decoded()
def _stored(db: sqlite3.Connection, trial_id: str | None = None) -> dict[str, _Stored]:
    """Trials whose rows are all whole, by id, or only the one with `trial_id`. Raises sqlite3.Error."""
    has_digests = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'digests'").fetchone() is not None
    one, asked = ("", ()) if trial_id is None else (" WHERE m.trial_id = ?", (trial_id,))
    rows = db.execute((ROWS if has_digests else OLDER_ROWS) + one + " ORDER BY m.trial_id, m.horizon", asked)
    by_trial: dict[tuple[str, str], list[tuple[int, str, str | None]]] = {}
    for key, spec, *row in rows:
        by_trial.setdefault((key, spec), []).append(tuple(row))
    whole = {key: _whole(key, spec, found) for (key, spec), found in by_trial.items()}
    return {key: found for key, found in whole.items() if found is not None}


def _whole(trial_id: str, spec: str, rows: list[tuple[int, str, str | None]]) -> _Stored | None:
    """The trial with these rows; None if any part of it is missing or damaged."""
    try:
        # encode raises AttributeError if a flipped bit has made the text a number
        if hashlib.sha256(spec.encode()).hexdigest()[:16] != trial_id:
            return None
        if any(digest not in (None, _digest(trial_id, horizon, data)) for horizon, data, digest in rows):
            return None
        trial = Trial.model_validate_json(json.dumps(upgrade.trial(json.loads(spec))))
        found = [TrialMeasurement.model_validate(upgrade.measurement(json.loads(data))) for _, data, _ in rows]
    except (AttributeError, LookupError, TypeError, ValueError):
        return None
    if [m.horizon for m in found] != list(trial.horizons):
        return None
    return _Stored(trial, found, all(digest is not None for _, _, digest in rows))


@contextmanager
def _refusing(folder: Path) -> Iterator[None]:
    """Raise InputError in place of SQLite's errors."""
    path = folder / "store.sqlite"
    try:
        with _decoded():
            yield
    except sqlite3.OperationalError as error:
        raise InputError(
            f"{path} cannot be opened ({error}); close what uses it, check permissions and disk space, and run again"
        ) from error
    except sqlite3.Error as error:
        raise InputError(
            f"{path} is not a readable store ({error}); move it aside and run again, and it is rebuilt from trials/"
        ) from error


def read_trials(folder: Path) -> list[tuple[Trial, list[TrialMeasurement]]]:
    """Every trial of a study with its measurements, in the order of their ids, from the logs and the store.

    Nothing is written, so a folder may be read-only. Raises InputError if there are no logs and the store is damaged.
    """
    logs = dict(_complete_logs(folder))
    stored: dict[str, _Stored] = {}
    try:
        stored = _read_store(folder)
    except sqlite3.Error:
        if not logs:
            with _refusing(folder):
                raise
    found = {key: (one.trial, one.measurements) for key, one in stored.items()}
    for key, state in logs.items():
        if key not in stored or state.sealed or not stored[key].sealed:
            found[key] = (state.trial, list(state.measurements))
    return [found[key] for key in sorted(found)]


def _complete_logs(folder: Path) -> Iterator[tuple[str, LogState]]:
    """The logs with measurements, each with the id that its trial had when it was logged."""
    states = ((path.stem, read_state(path)) for path in sorted((folder / "trials").glob("*.jsonl")))
    return ((key, state) for key, state in states if state is not None and state.measurements)


def read_summaries(folder: Path) -> summaries.Summaries | None:
    """The summaries in the store of a folder; None if there is no store.

    Raises sqlite3.Error or ValueError for a damaged store.
    """
    return _read(folder, summaries.read)


def _read_store(folder: Path) -> dict[str, _Stored]:
    """The whole trials in the store of a folder; empty if there is no store. Raises sqlite3.Error."""
    return _read(folder, _stored) or {}


def _read(folder: Path, query: Callable[[sqlite3.Connection], Found]) -> Found | None:
    """The answer to a query of a store, which is not written to; None if there is no store. Raises sqlite3.Error."""
    path = folder / "store.sqlite"
    require_plain(path)
    if not path.exists():
        return None
    address = f"file:{quote(os.fsencode(path.resolve()))}"
    try:
        with closing(_connect(f"{address}?mode=ro", uri=True)) as db:
            return query(db)
    except sqlite3.OperationalError:  # a read-only folder, in which SQLite cannot make its other files
        with closing(_connect(f"{address}?immutable=1", uri=True)) as db:
            return query(db)


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Lock a study folder. Raises InputError if another process holds the lock. A lock ends with its process."""
    with os.fdopen(open_plain(folder / ".lock", os.O_RDWR | os.O_APPEND), "a+", encoding="utf-8") as file:
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
