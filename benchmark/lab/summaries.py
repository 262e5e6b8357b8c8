"""One short row in the store for each reading, so that `lrladder status` can read 100,000 trials in a second.

The rows repeat the measurements without their metrics. Nothing is scored from them.
"""

import hashlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial
from lrladder.paradigms.lab import VERDICTS

TABLE = """
CREATE TABLE IF NOT EXISTS summaries (
    trial_id TEXT NOT NULL, sweep TEXT NOT NULL, horizon INTEGER NOT NULL, lr REAL NOT NULL, seed INTEGER NOT NULL,
    verdict TEXT NOT NULL, loss REAL, PRIMARY KEY (trial_id, horizon)) WITHOUT ROWID;
"""


Run = tuple[float, int, float]  # LR, seed and loss; plain, as Python's garbage collector passes over such tuples


class Summaries(NamedTuple):
    """What the summaries of a store add up to."""

    summed_up: frozenset[str]  # ids of the trials that have a summary
    missing: frozenset[str]  # ids of the trials that have none, because an older version stored them
    counts: Mapping[str, int]  # numbers of trials by their worst verdict
    sweeps: Sequence[tuple[Trial, Mapping[int, Sequence[Run]]]]  # one trial of each, and by horizon its runs' losses


NONE = Summaries(frozenset(), frozenset(), {}, ())


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
    return Summaries(_ids(db, "SELECT trial_id AS id FROM summaries"), missing(db), _counts(db), list(_sweeps(db)))


def _ids(db: sqlite3.Connection, query: str) -> frozenset[str]:
    """The ids that a query finds. They come as one text, which is faster than a row for each."""
    [(ids,)] = db.execute(f"SELECT group_concat(id, char(10)) FROM ({query})")
    return frozenset(ids.split("\n") if ids else ())


def _counts(db: sqlite3.Connection) -> dict[str, int]:
    """Numbers of trials by their worst verdict. SQLite counts, as it is faster than Python."""
    ranks = " ".join(f"WHEN '{verdict}' THEN {rank}" for rank, verdict in enumerate(VERDICTS))
    worst = f"SELECT MAX(CASE verdict {ranks} END) AS rank FROM summaries GROUP BY trial_id"
    counted = db.execute(f"SELECT rank, COUNT(*) FROM ({worst}) WHERE rank IS NOT NULL GROUP BY rank")
    return {VERDICTS[rank]: count for rank, count in counted}


def _sweeps(db: sqlite3.Connection) -> Iterator[tuple[Trial, dict[int, list[Run]]]]:
    """Each sweep, in the order of the first ids. Raises ValueError if the trial with this id is not in the store."""
    runs: dict[str, dict[int, list[Run]]] = defaultdict(lambda: defaultdict(list))
    losses = "SELECT sweep, horizon, lr, seed, loss FROM summaries WHERE loss IS NOT NULL"
    for sweep, horizon, lr, seed, loss in db.execute(losses):
        runs[sweep][horizon].append((lr, seed, loss))
    firsts = "SELECT sweep, MIN(trial_id) AS id FROM summaries GROUP BY sweep"
    specs = f"SELECT f.sweep, t.spec FROM ({firsts}) f LEFT JOIN trials t ON t.id = f.id ORDER BY f.id"
    for sweep, spec in db.execute(specs):
        yield Trial.model_validate_json(spec), runs[sweep]
