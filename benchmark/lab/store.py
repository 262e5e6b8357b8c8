"""Stores measurements in SQLite. The database can be mended and rebuilt from the append-only jsonl logs of trials."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import require_plain
from lrladder.benchmark.lab import summaries
from lrladder.benchmark.lab.interrupts import interrupts_kept
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.older import STORE_VERSION, refuse_older
from lrladder.benchmark.lab.rows import FILES, TABLES, connect, refusing, row_digest, texts, to_json, whole_trials
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.trial_log import complete_logs, last_attempt


class Store:
    """The stored results of one study: its trials that finished or diverged. Failed trials are only in the logs.

    Every row has a digest. A damaged row counts as missing. `mended` is the number of trials taken from logs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.mended = folder, 0
        for name in FILES:
            require_plain(folder / name)
        self._db = connect(str(folder / "store.sqlite"))
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
        with refusing(folder):
            store._check(config=config_digest, corpus=corpus_digest)
            store._mend()
        return store

    @classmethod
    def reopen(cls, folder: Path) -> "Store":
        """Open the store of any study. Raises InputError for a damaged file, which is not changed."""
        with refusing(folder):
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
        found = whole_trials(self._db, trial.id).get(trial.id)
        return found.measurements if found is not None else None

    def all(self) -> list[tuple[Trial, list[TrialMeasurement]]]:
        """Every trial with its measurements, in order of the ids.

        Measurements keep the id under which they were stored. It differs from the id of the trial if an older version
        stored them.
        """
        return [(found.trial, found.measurements) for _, found in sorted(whole_trials(self._db).items())]

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
        with interrupts_kept(), self._db:
            rows = [(trial.id, m.horizon, to_json(m)) for m in measurements]
            self._db.execute("DELETE FROM measurements WHERE trial_id = ?", (trial.id,))  # damaged or partial ones
            self._db.execute("INSERT OR REPLACE INTO trials VALUES (?, ?)", (trial.id, trial.model_dump_json()))
            self._db.executemany("INSERT OR REPLACE INTO measurements VALUES (?, ?, ?)", rows)
            digests = [(*row[:2], row_digest(*row)) for row in rows]
            self._db.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?)", digests)
            summaries.put(self._db, trial, measurements)

    def _mend(self) -> None:
        """Store every trial whose complete log has something that the rows here lack or contradict."""
        stored = whole_trials(self._db)
        for key, state in complete_logs(self.folder):
            there = stored.get(key)
            is_same = there is not None and texts(there.measurements) == texts(state.measurements)
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
