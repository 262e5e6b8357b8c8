"""The append-only log of each trial, one JSON object per line. The store can be rebuilt from the logs."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from lrladder.benchmark import upgrade
from lrladder.benchmark.folders import make_inner, open_plain
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.reading import LOG_BYTES, parse_json, read_bytes

ATTEMPT = re.compile(rb'^{"attempt": (\d{1,15}),', re.MULTILINE)  # as `TrialLog.begin` writes it


class TrialLog:
    """The log of one trial: its specification, rows of training steps, and its measurements."""

    def __init__(self, folder: Path, trial: Trial) -> None:
        make_inner(folder / "trials")
        descriptor = open_plain(folder / "trials" / f"{trial.id}.jsonl", os.O_RDWR | os.O_APPEND)
        self._file = os.fdopen(descriptor, "a", encoding="utf-8")
        if (size := os.fstat(descriptor).st_size) and os.pread(descriptor, 1, size - 1) != b"\n":
            self._file.write("\n")  # ends a line that a kill cut off, so that the next one is whole
        self._trial = trial.model_dump(mode="json")
        self.write({"trial": self._trial})

    def write(self, row: dict[str, object]) -> None:
        """Append a row, such as that of a training step."""
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def begin(self, attempt: int, node: str) -> None:
        """Append which attempt the next rows are of, and the address of the machine that trains it."""
        self.write({"attempt": attempt, "node": node})

    def finish(self, measurements: Iterable[TrialMeasurement]) -> None:
        """Append the measurements with their digest, and close the log."""
        found = [m.model_dump(mode="json") for m in measurements]
        self.write({"measurements": found, "digest": _digest(self._trial, found)})
        os.fsync(self._file.fileno())  # the store is mended from it
        self._file.close()

    def fail(self, message: str) -> None:
        """Append the fault that ended the trial, and close the log."""
        self.write({"fault": message})
        self._file.close()


class LogState(NamedTuple):
    """The content of a log. A trial without measurements has the `fault` of its last attempt, or its `last` step."""

    trial: Trial
    measurements: tuple[TrialMeasurement, ...] = ()
    fault: str | None = None
    last: dict[str, Any] | None = None  # the last row of a training step
    sealed: bool = False  # the measurements have a digest; older versions wrote none


def _digest(trial: object, measurements: object) -> str:
    """Digest of a trial and its measurements, in the form in which they are read again."""
    both = parse_json(json.dumps([trial, measurements]))
    return hashlib.sha256(json.dumps(both, sort_keys=True).encode()).hexdigest()


def read_state(path: Path) -> LogState | None:
    """The content of a log; None if it has no readable specification. Damaged and cut-off lines are skipped."""
    try:
        lines = read_bytes(path, LOG_BYTES).decode("utf-8", errors="replace").split("\n")
    except (OSError, ValueError):  # the file is gone, is not a plain file, or is larger than a log can be
        return None
    state: LogState | None = None
    spec: object = None  # as it was written
    for line in lines:
        with suppress(AttributeError, LookupError, TypeError, ValueError, RecursionError):
            row = parse_json(line)
            if isinstance(row, dict) and "trial" in row:
                trial = Trial.model_validate_json(json.dumps(upgrade.trial(row["trial"])))
                if state is None or state.trial == trial:
                    known = state or LogState(trial)
                    state, spec = known._replace(fault=None, last=None), row["trial"]
            elif isinstance(row, dict) and state is not None:
                state = _after(state, row, spec, path.stem)
    return state


def _after(state: LogState, row: dict[str, Any], spec: object, trial_id: str) -> LogState:
    """The content of a log after one more row. Raises TypeError or ValueError for a row that cannot be used."""
    if "measurements" in row:
        found = tuple(TrialMeasurement.model_validate(upgrade.measurement(m)) for m in row["measurements"])
        is_sealed = "digest" in row
        is_damaged = is_sealed and row["digest"] != _digest(spec, row["measurements"])
        if is_damaged or not _is_whole(state.trial, trial_id, found):
            raise ValueError("damaged")
        return state._replace(measurements=found, sealed=is_sealed)
    if "fault" in row:
        return state._replace(fault=str(row["fault"]))
    return state._replace(last=row) if "step" in row else state


def _is_whole(trial: Trial, trial_id: str, found: Sequence[TrialMeasurement]) -> bool:
    """Whether measurements are those of a trial at all of its horizons."""
    own = all((m.trial_id, m.lr, m.seed) == (trial_id, trial.lr, trial.seed) for m in found)
    return own and [m.horizon for m in found] == list(trial.horizons)


def last_attempt(folder: Path) -> int:
    """The highest number of an attempt in the logs of a study; 0 if there is none."""
    numbers = [0]
    for path in (folder / "trials").glob("*.jsonl"):
        with suppress(OSError, ValueError):
            numbers += map(int, ATTEMPT.findall(read_bytes(path, LOG_BYTES)))
    return max(numbers)


def read_log(path: Path) -> tuple[Trial, list[TrialMeasurement]] | None:
    """The trial and measurements of a log; None if it is not complete."""
    state = read_state(path)
    return (state.trial, list(state.measurements)) if state is not None and state.measurements else None


def complete_logs(folder: Path) -> Iterator[tuple[str, LogState]]:
    """The logs with measurements, each with the id that its trial had when it was logged."""
    states = ((path.stem, read_state(path)) for path in sorted((folder / "trials").glob("*.jsonl")))
    return ((key, state) for key, state in states if state is not None and state.measurements)
