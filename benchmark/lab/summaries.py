"""One short row in the store for each reading, so that `lrladder status` can read 100,000 trials in a second.

The rows repeat the measurements without their metrics. Nothing is scored from them.
"""

import hashlib
import sqlite3
from collections import Counter, defaultdict
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


COLUMNS = "trial_id, sweep, horizon, lr, seed, loss"
Losses = Mapping[float, Mapping[int, float]]  # of runs that differ only in LR and seed: by LR, then by seed


class Summaries(NamedTuple):
    """What the summaries of a store say."""

    ids: Sequence[str]  # of the trials that have a summary
    counts: Counter[str]  # numbers of these trials by their worst verdict
    missing: frozenset[str]  # ids of the trials that have none, because an older version stored them
    sweeps: Sequence[tuple[Trial, Mapping[int, Losses]]]  # one trial of each, and its losses by horizon


NONE = Summaries((), Counter(), frozenset(), ())


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
    firsts: dict[str, str] = {}  # the first id of each sweep
    found: dict[tuple[str, int, float], dict[int, float]] = {}
    for trial_id, sweep, horizon, lr, seed, loss in db.execute(f"SELECT {COLUMNS} FROM summaries"):
        losses = found.get((sweep, horizon, lr))
        if losses is None:
            losses = found[sweep, horizon, lr] = {}
            firsts.setdefault(sweep, trial_id)
        if loss is not None:
            losses[seed] = loss
    sweeps: dict[str, dict[int, dict[float, dict[int, float]]]] = defaultdict(lambda: defaultdict(dict))
    for (sweep, horizon, lr), losses in found.items():
        if losses:
            sweeps[sweep][horizon][lr] = losses
    ids = _all_ids(db)
    one_of_each = [(_trial(db, first), sweeps[sweep]) for sweep, first in firsts.items()]
    return Summaries(ids, _counts(db, len(ids)), missing(db), one_of_each)


def _all_ids(db: sqlite3.Connection) -> Sequence[str]:
    """Ids of the trials with a summary. They come as one text, in half the time of as many rows."""
    (text,) = db.execute(
        "SELECT group_concat(trial_id, char(10)) FROM (SELECT DISTINCT trial_id FROM summaries)"
    ).fetchone()
    return text.split("\n") if text else ()


def _counts(db: sqlite3.Connection, num_trials: int) -> Counter[str]:
    """Numbers of trials by their worst verdict. Most have the best one alone, so only others are read."""
    best = min(RANKS, key=lambda verdict: RANKS[verdict])
    worst: dict[str, str] = {}
    for trial_id, verdict in db.execute("SELECT trial_id, verdict FROM summaries WHERE verdict != ?", (best,)):
        known = worst.get(trial_id)
        if known is None or RANKS.get(verdict, -1) > RANKS.get(known, -1):
            worst[trial_id] = verdict
    counts = Counter(worst.values())
    counts[best] += num_trials - len(worst)
    return counts


def _ids(db: sqlite3.Connection, query: str) -> frozenset[str]:
    return frozenset(trial_id for (trial_id,) in db.execute(query))


def _trial(db: sqlite3.Connection, trial_id: str) -> Trial:
    found = db.execute("SELECT spec FROM trials WHERE id = ?", (trial_id,)).fetchone()
    if found is None:
        raise ValueError(f"trial {trial_id} has a summary, but no specification")
    return Trial.model_validate_json(found[0])
