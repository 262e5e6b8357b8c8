"""Reads the results so far of the trials in a folder: from its store, and from the logs of trials not in the store."""

import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from lrladder.benchmark.lab.stored_trials import read_summaries
from lrladder.benchmark.lab.summaries import NONE, Losses, Summaries
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.trial_log import LogState, read_state
from lrladder.benchmark.reading import why
from lrladder.benchmark.studies.counts import by_verdict

SUFFIX = ".jsonl"


class Logged(NamedTuple):
    """The results so far. `logs` has the logs of trials that are not in the store: last change in ns, and content."""

    summaries: Summaries
    logs: Mapping[Path, tuple[int, LogState]]
    latest: int  # time of the last change, ns
    differences: tuple[str, ...]  # between store and logs, in words

    @property
    def counts(self) -> Counter[str]:
        """Numbers of trials by verdict."""
        logged = by_verdict(m for _, state in self.logs.values() for m in state.measurements)
        return self.summaries.counts + logged

    @property
    def sweeps(self) -> Iterator[tuple[Trial, Mapping[int, Losses]]]:
        """Losses by horizon. Those of one sweep in the store come together, with one of its trials."""
        yield from self.summaries.sweeps
        for _, state in self.logs.values():
            if state.measurements:
                yield (
                    state.trial,
                    {m.horizon: {m.lr: {m.seed: m.loss}} for m in state.measurements if m.loss is not None},
                )


class LogReader:
    """Reads one folder repeatedly. Files that cannot change any more are read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._done: dict[Path, LogState] = {}

    def read(self) -> Logged:
        """The state of the folder now. A store that cannot be read is reported in `differences`."""
        summaries, fault = self._summaries()
        missing, folder = summaries.missing, self._folder / "trials"
        names = _names(folder)
        num_files = len(names)
        names.difference_update(f"{key}{SUFFIX}" for key in summaries.ids)
        in_both = num_files - len(names)
        to_read = {name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)}
        logs = dict(self._states(folder / f"{key}{SUFFIX}" for key in sorted(to_read)))
        changes = [changed for changed, _ in logs.values()]
        latest = max([*changes, folder.stat().st_mtime_ns] if in_both else changes, default=0)
        finished = {path.stem for path, (_, state) in logs.items() if state.measurements}
        unlogged = len(summaries.ids) - in_both + len(missing - to_read)
        return Logged(summaries, logs, latest, tuple(_differences(fault, len(finished - missing), unlogged)))

    def _summaries(self) -> tuple[Summaries, str]:
        try:
            return read_summaries(self._folder) or NONE, ""
        except (sqlite3.Error, ValueError) as error:
            return NONE, why(error)

    def _states(self, paths: Iterable[Path]) -> Iterator[tuple[Path, tuple[int, LogState]]]:
        for path in paths:
            state = self._done.get(path) or read_state(path)
            if state is not None and state.measurements:
                self._done[path] = state
            if state is not None:
                yield path, (path.stat().st_mtime_ns, state)


def _names(folder: Path) -> set[str]:
    """Names of the files in a folder; empty if there is none."""
    try:
        return set(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return set()


def _differences(fault: str, unstored: int, unlogged: int) -> Iterator[str]:
    """Sentences about differences between store and logs. Only numbers are compared: reading all logs is too slow."""
    if fault:
        yield f"store.sqlite cannot be read ({fault}); the counts are from trials/"
    elif unstored:
        yield f"store.sqlite lacks {_trials(unstored)} whose logs are complete; the next `lrladder run` adds them"
    if unlogged:
        yield f"trials/ lacks the logs of {_trials(unlogged)} in store.sqlite; their measurements are kept in the store"


def _trials(count: int) -> str:
    return "1 trial" if count == 1 else f"{count:,} trials"
