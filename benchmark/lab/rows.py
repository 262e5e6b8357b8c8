"""The rows of a study's database: its tables, and which of its trials are whole."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from lrladder.benchmark import upgrade
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.reading import parse_json

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


class StoredTrial(NamedTuple):
    """A trial whose rows are whole. `sealed` says whether all of them have a digest; older versions wrote none."""

    trial: Trial
    measurements: list[TrialMeasurement]
    sealed: bool


def connect(address: str, *, uri: bool = False) -> sqlite3.Connection:
    """A connection to the database at `address`."""
    db = sqlite3.connect(address, uri=uri)
    db.text_factory = lambda data: data.decode("utf-8", errors="replace")  # the digest finds a damaged row later
    return db


def to_json(measurement: TrialMeasurement) -> str:
    """JSON in which NaN stays NaN. pydantic would write null, which it could not read again."""
    return json.dumps(measurement.model_dump(mode="json"))


def texts(measurements: Iterable[TrialMeasurement]) -> list[str]:
    """Texts by which measurements can be compared even if they have NaN, which does not equal itself."""
    return [to_json(m) for m in measurements]


def row_digest(trial_id: str, horizon: int, data: str) -> str:
    """The digest of a row of measurements."""
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
def whole_trials(db: sqlite3.Connection, trial_id: str | None = None) -> dict[str, StoredTrial]:
    """Trials whose rows are all whole, by id, or only the one with `trial_id`. Raises sqlite3.Error."""
    has_digests = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'digests'").fetchone() is not None
    one, asked = ("", ()) if trial_id is None else (" WHERE m.trial_id = ?", (trial_id,))
    rows = db.execute((ROWS if has_digests else OLDER_ROWS) + one + " ORDER BY m.trial_id, m.horizon", asked)
    by_trial: dict[tuple[str, str], list[tuple[int, str, str | None]]] = {}
    for key, spec, *row in rows:
        by_trial.setdefault((key, spec), []).append(tuple(row))
    whole = {key: _whole(key, spec, found) for (key, spec), found in by_trial.items()}
    return {key: found for key, found in whole.items() if found is not None}


def _whole(trial_id: str, spec: str, rows: list[tuple[int, str, str | None]]) -> StoredTrial | None:
    """The trial with these rows; None if any part of it is missing or damaged."""
    try:
        # encode raises AttributeError if a flipped bit has made the text a number
        if hashlib.sha256(spec.encode()).hexdigest()[:16] != trial_id:
            return None
        if any(digest not in (None, row_digest(trial_id, horizon, data)) for horizon, data, digest in rows):
            return None
        trial = Trial.model_validate_json(json.dumps(upgrade.trial(parse_json(spec))))
        found = [TrialMeasurement.model_validate(upgrade.measurement(parse_json(data))) for _, data, _ in rows]
    except (AttributeError, LookupError, TypeError, ValueError):
        return None
    if [m.horizon for m in found] != list(trial.horizons):
        return None
    if any((m.lr, m.seed) != (trial.lr, trial.seed) or m.trial_id not in (trial_id, trial.id) for m in found):
        return None  # a digest would tell too, but all of them may be lost
    return StoredTrial(trial, found, all(digest is not None for _, _, digest in rows))


@contextmanager
def refusing(folder: Path) -> Iterator[None]:
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
