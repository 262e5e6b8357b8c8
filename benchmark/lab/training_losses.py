"""Reads the training losses in the logs of a study."""

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from lrladder.benchmark.reading import LOG_BYTES, parse_json, read_bytes


def training_losses(folder: Path, trial_id: str) -> list[tuple[int, float]]:
    """(tokens, training loss in nats) at the logged steps of a trial up to its longest horizon; empty without a log.

    A run that goes back, to another branch or after a kill, logs some steps again. Then the last row counts. Steps that
    a trial took over from a stored trunk are in the log of the trial that trained the trunk, and are read from there.
    """
    spec, found = _log(folder / "trials" / f"{trial_id}.jsonl")
    if found and min(found) > 0:
        start = min(found)
        for rows in _of_same_run(folder, trial_id, spec):
            found |= {tokens: loss for tokens, loss in rows.items() if tokens < start}
    return sorted((tokens, loss) for tokens, loss in found.items() if math.isfinite(loss))


def _of_same_run(folder: Path, trial_id: str, spec: Any) -> Iterator[dict[int, float]]:
    """The losses in the logs of other trials that differ from this one only in their horizons."""
    for path in sorted((folder / "trials").glob("*.jsonl")):
        if path.stem != trial_id:
            other, rows = _log(path)
            if rows and _without_horizons(other) == _without_horizons(spec):
                yield rows


def _without_horizons(spec: Any) -> Any:
    return {key: value for key, value in spec.items() if key != "horizons"} if isinstance(spec, dict) else None


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
