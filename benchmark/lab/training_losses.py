"""Reads the training losses in the logs of a study."""

import json
import math
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from lrladder.benchmark.reading import LOG_BYTES, open_for_reading, parse_json, read_bytes


class TrainingLosses:
    """The training losses of the trials in a folder, for results that are made when its runs have ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "trials"

    def of(self, trial_id: str) -> list[tuple[int, float]]:
        """(tokens, training loss in nats) at the logged steps of a trial, up to its longest horizon; empty without one.

        A run that goes back, to another branch or after a kill, logs some steps again. Then the last row counts. Steps
        that a trial took over from a stored trunk are in the log of the trial that trained the trunk, and are read from
        there.
        """
        path = self._folder / f"{trial_id}.jsonl"
        spec, found = _log(path)
        if found and min(found) > 0:
            start = min(found)
            for other in self._by_run.get(_run(spec), ()):
                _, rows = _log(other) if other != path else (None, {})
                found |= {tokens: loss for tokens, loss in rows.items() if tokens < start}
        return sorted((tokens, loss) for tokens, loss in found.items() if math.isfinite(loss))

    @cached_property
    def _by_run(self) -> dict[str, list[Path]]:
        """The logs of the trials that differ only in their horizons. To read all logs for each trial takes too long."""
        found: dict[str, list[Path]] = {}
        for path in sorted(self._folder.glob("*.jsonl")):
            found.setdefault(_run(_specification(path)), []).append(path)
        return found


def _run(spec: Any) -> str:
    """A specification without its horizons, as text; empty if it is none."""
    if not isinstance(spec, dict):
        return ""
    return json.dumps({key: value for key, value in spec.items() if key != "horizons"}, sort_keys=True)


def _specification(path: Path) -> Any:
    """The specification in the first line of a log; None if it cannot be read."""
    with suppress(LookupError, OSError, TypeError, ValueError), open_for_reading(path) as file:
        return parse_json(file.readline(LOG_BYTES).decode(errors="replace"))["trial"]
    return None


def _log(path: Path) -> tuple[Any, dict[int, float]]:
    """The specification and the losses by tokens. A damaged line, or one torn by a kill, is skipped."""
    try:
        lines = read_bytes(path, LOG_BYTES).decode(errors="replace").split("\n")
    except (OSError, ValueError):
        return None, {}
    spec: Any = None
    found: dict[int, float] = {}
    for line in lines:
        with suppress(LookupError, TypeError, ValueError, RecursionError):
            row = parse_json(line)
            if "trial" in row:
                spec = row["trial"]
            elif "step" in row:
                found[int(row["tokens"])] = float(row["loss"])
    return spec, found
