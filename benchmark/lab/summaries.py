"""One short row in the store for each reading, so that `lrladder status` can read 100,000 trials in a second.

The rows repeat the measurements without their metrics. Nothing is scored from them.
"""

import hashlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial
from lrladder.paradigms.lab import RANKS

TABLE = """
CREATE TABLE IF NOT EXISTS summaries (
    trial_id TEXT NOT NULL, sweep TEXT NOT NULL, horizon INTEGER NOT NULL, lr REAL NOT NULL, seed INTEGER NOT NULL,
    verdict TEXT NOT NULL, loss REAL, PRIMARY KEY (trial_id, horizon)) WITHOUT ROWID;
"""


COLUMNS = "trial_id, sweep, horizon, lr, seed, verdict, loss"
Run = tuple[float, int, float]  # LR, seed and loss; plain, as Python's garbage collector passes over such tuples


class Summaries(NamedTuple):
    """What the summaries of a store say."""

    verdicts: Mapping[str, str]  # the worst of each trial that has a summary, by its id
    missing: frozenset[str]  # ids of the trials that have none, because an older version stored them
    sweeps: Sequence[tuple[Trial, Mapping[int, Sequence[Run]]]]  # one trial of each, and by horizon its runs' losses


NONE = Summaries({}, frozenset(), ())


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
    return _ids(db, "SELECT id FROM trials WHERE id NOT IN (SELECT trial_id FROM summaries)")


def read(db: sqlite3.Connection) -> Summaries:
    """All summaries. Raises sqlite3.Error, also for damaged text, or ValueError for a damaged specification."""
    db.text_factory = str  # its errors are not passed over here, as nothing says later which row is damaged
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'summaries'").fetchone() is None:
        return NONE._replace(missing=_ids(db, "SELECT id FROM trials"))
    verdicts: dict[str, str] = {}
    runs: dict[str, dict[int, list[Run]]] = {}
    firsts: dict[str, str] = {}  # the first id of each sweep
    for trial_id, sweep, horizon, lr, seed, verdict, loss in db.execute(f"SELECT {COLUMNS} FROM summaries"):
        known = verdicts.get(trial_id)
        if known is None or RANKS.get(verdict, -1) > RANKS.get(known, -1):
            verdicts[trial_id] = verdict
        if sweep not in firsts:
            firsts[sweep], runs[sweep] = trial_id, defaultdict(list)
        if loss is not None:
            runs[sweep][horizon].append((lr, seed, loss))
    return Summaries(verdicts, missing(db), [(_trial(db, first), runs[sweep]) for sweep, first in firsts.items()])


def _ids(db: sqlite3.Connection, query: str) -> frozenset[str]:
    return frozenset(trial_id for (trial_id,) in db.execute(query))


def _trial(db: sqlite3.Connection, trial_id: str) -> Trial:
    found = db.execute("SELECT spec FROM trials WHERE id = ?", (trial_id,)).fetchone()
    if found is None:
        raise ValueError(f"trial {trial_id} has a summary, but no specification")
    return Trial.model_validate_json(found[0])
