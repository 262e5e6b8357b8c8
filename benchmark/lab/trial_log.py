"""The append-only log of each trial, one JSON object per line. The store can be rebuilt from the logs."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from lrladder.benchmark import upgrade
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial


class TrialLog:
    """The log of one trial: its specification, rows of training steps, and its measurements."""

    def __init__(self, folder: Path, trial: Trial) -> None:
        (folder / "trials").mkdir(exist_ok=True)
        self._file = (folder / "trials" / f"{trial.id}.jsonl").open("a", encoding="utf-8")
        self.write({"trial": trial.model_dump(mode="json")})

    def write(self, row: dict[str, object]) -> None:
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def finish(self, measurements: Iterable[TrialMeasurement]) -> None:
        self.write({"measurements": [m.model_dump(mode="json") for m in measurements]})
        self._file.close()

    def fail(self, message: str) -> None:
        self.write({"fault": message})
        self._file.close()


class LogState(NamedTuple):
    """The content of a log. A trial without measurements has the `fault` of its last attempt, or its `last` step."""

    trial: Trial
    measurements: tuple[TrialMeasurement, ...] = ()
    fault: str | None = None
    last: dict[str, Any] | None = None  # the last row of a training step


def read_state(path: Path) -> LogState | None:
    """None if there is no readable specification. A torn line, which a killed process may leave, is skipped."""
    state: LogState | None = None
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
            if "trial" in row:
                known = () if state is None else state.measurements
                state = LogState(Trial.model_validate_json(json.dumps(upgrade.trial(row["trial"]))), known)
            elif state is None:
                continue
            elif "measurements" in row:
                found = tuple(TrialMeasurement.model_validate(upgrade.measurement(m)) for m in row["measurements"])
                state = state._replace(measurements=found)
            elif "fault" in row:
                state = state._replace(fault=str(row["fault"]))
            elif "step" in row:
                state = state._replace(last=row)
        except (json.JSONDecodeError, TypeError, ValidationError):
            continue
    return state


def read_log(path: Path) -> tuple[Trial, list[TrialMeasurement]] | None:
    """The trial and measurements of a log; None if it is not complete."""
    state = read_state(path)
    return (state.trial, list(state.measurements)) if state is not None and state.measurements else None
