"""One short row in the store for each reading, so that `lrladder status` can read 100,000 trials in a second.

The rows repeat the measurements without their metrics. Nothing is scored from them.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial

TABLE = """
CREATE TABLE IF NOT EXISTS summaries (
    trial_id TEXT NOT NULL, sweep TEXT NOT NULL, horizon INTEGER NOT NULL, lr REAL NOT NULL, seed INTEGER NOT NULL,
    verdict TEXT NOT NULL, loss REAL, PRIMARY KEY (trial_id, horizon)) WITHOUT ROWID;
"""


class Reading(NamedTuple):
    """A reading without its metrics. Trials of one `sweep` differ only in LR and seed."""

    trial_id: str
    sweep: str
    horizon: int
    lr: float
    seed: int
    verdict: str
    loss: float | None


class Summaries(NamedTuple):
    """All summaries of a store."""

    stored: frozenset[str]  # ids of all stored trials
    readings: list[Reading]  # without those of trials that an older version stored
    trials: Mapping[str, Trial]  # one trial of each sweep


def put(db: sqlite3.Connection, trial: Trial, measurements: Iterable[TrialMeasurement]) -> None:
    """Replace the rows of a trial, within a transaction of the caller."""
    db.execute("DELETE FROM summaries WHERE trial_id = ?", (trial.id,))
    sweep = sweep_of(trial)
    rows = ((trial.id, sweep, m.horizon, trial.lr, trial.seed, m.verdict, m.loss) for m in measurements)
    db.executemany("INSERT INTO summaries VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def sweep_of(trial: Trial) -> str:
    """Hash of the specification without LR and seed, so that the trials of one LR sweep have the same."""
    return hashlib.sha256(trial.model_dump_json(exclude={"lr", "seed"}).encode()).hexdigest()[:16]


def missing(db: sqlite3.Connection) -> frozenset[str]:
    """Ids of stored trials without a summary."""
    query = "SELECT id FROM trials EXCEPT SELECT trial_id FROM summaries"
    return frozenset(trial_id for (trial_id,) in db.execute(query))


def read(db: sqlite3.Connection) -> Summaries:
    """All summaries. Raises sqlite3.Error, also for damaged text, or ValueError for a damaged specification."""
    db.text_factory = str  # its errors are not passed over here, as nothing says later which row is damaged
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'summaries'").fetchone() is None:
        return Summaries(frozenset(trial_id for (trial_id,) in db.execute("SELECT id FROM trials")), [], {})
    readings = list(map(Reading._make, db.execute(f"SELECT {', '.join(Reading._fields)} FROM summaries")))
    stored = missing(db).union(reading.trial_id for reading in readings)
    return Summaries(stored, readings, dict(_trials(db)))


def _trials(db: sqlite3.Connection) -> Iterator[tuple[str, Trial]]:
    firsts = "SELECT sweep, MIN(trial_id) AS id FROM summaries GROUP BY sweep"
    for sweep, spec in db.execute(f"SELECT f.sweep, t.spec FROM ({firsts}) f JOIN trials t ON t.id = f.id"):
        yield sweep, Trial.model_validate_json(spec)
