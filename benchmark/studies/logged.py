"""Reads the results so far of the trials in a folder: from its store, and from the logs of trials not in the store."""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lrladder.benchmark.lab.stored_trials import read_summaries
from lrladder.benchmark.lab.summaries import Reading, Summaries
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.trial_log import LogState, read_state
from lrladder.benchmark.reading import why

SUFFIX = ".jsonl"
NONE = Summaries(frozenset(), [], {})


class Logged(NamedTuple):
    """All readings so far. `logs` has the logs of trials that are not in the store: last change in ns, and content."""

    summaries: Summaries
    logs: Mapping[Path, tuple[int, LogState]]
    latest: int  # time of the last change, ns
    differences: tuple[str, ...]  # between store and logs, in words

    @property
    def trials(self) -> Iterator[tuple[Trial, Sequence[Reading]]]:
        """Trials with their readings. The readings of one sweep in the store come together, with one of its trials."""
        by_sweep: dict[str, list[Reading]] = {}
        for reading in self.summaries.readings:
            by_sweep.setdefault(reading.sweep, []).append(reading)
        yield from ((self.summaries.trials[sweep], found) for sweep, found in by_sweep.items())
        for _, state in self.logs.values():
            if state.measurements:
                yield state.trial, [_reading(state, place) for place in range(len(state.measurements))]


class LogReader:
    """Reads one folder repeatedly. Files that cannot change any more are read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._done: dict[Path, LogState] = {}

    def read(self) -> Logged:
        """The state of the folder now. A store that cannot be read is reported in `differences`."""
        summaries, fault = self._summaries()
        summed_up = {reading.trial_id for reading in summaries.readings}
        folder = self._folder / "trials"
        keys = {name.removesuffix(SUFFIX) for name in _names(folder)}
        logs = dict(self._states(folder / f"{key}{SUFFIX}" for key in sorted(keys - summed_up)))
        changes = [changed for changed, _ in logs.values()]
        latest = max([*changes, folder.stat().st_mtime_ns] if keys & summed_up else changes, default=0)
        finished = {path.stem for path, (_, state) in logs.items() if state.measurements}
        differences = tuple(_differences(fault, len(finished - summaries.stored), len(summaries.stored - keys)))
        return Logged(summaries, logs, latest, differences)

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


def _names(folder: Path) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name.endswith(SUFFIX)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _reading(state: LogState, place: int) -> Reading:
    m = state.measurements[place]
    return Reading(m.trial_id, "", m.horizon, m.lr, m.seed, m.verdict, m.loss)


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
