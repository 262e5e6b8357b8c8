"""States from which a run can continue: in memory for decay branches, in a file after a kill or for longer horizons."""

import json
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from lrladder.benchmark.training.reading import Reading
from lrladder.benchmark.training.state import EngineState

FORMAT = 3  # of a file
READABLE = (2, FORMAT)  # in 2 a reading is a pair; files of other formats are ignored, and the run starts again
MAX_BYTES = 256 * 2**20  # of a trunk kept for longer horizons; assumption: larger ones are not worth the disk space
EVERY_SECONDS = 120.0  # between checkpoints; a kill loses no more than this
SHARE = 0.05  # largest share of the time that is spent on writing them
WORTH_SECONDS = 10.0  # of training since the last checkpoint that are worth saving when told to end
STOP = threading.Event()  # set when the process is told to end; the run saves itself after the current step


class Position(NamedTuple):
    """The position of a run, without its tensors. `watch` is the state of benchmark.training.watch."""

    step: int
    losses: list[float]
    watch: dict[str, Any]


class Snapshot(NamedTuple):
    """The position of a run with copies of the tensors of this rank."""

    position: Position
    state: EngineState


class Known(NamedTuple):
    """A run without its tensors. During a decay, `trunk` is where it began and `decaying_to` is its horizon."""

    now: Position
    trunk: Position | None
    decaying_to: int | None
    readings: dict[int, Reading]
    ended: str | None  # why the trunk has diverged; None if it can continue
    seconds: float = 0.0  # wall time so far of an unfinished run
    trained_tokens: int = 0  # by this run so far


class Stored(NamedTuple):
    """The content of a file, with whole states. A finished run whose trunk was not kept has no state."""

    known: Known
    now: EngineState | None
    trunk: EngineState | None

    def serves(self, horizons: Sequence[int], branch_points: Sequence[int], batch_tokens: int) -> bool:
        """Whether every horizon has been read, or has a branch point that the trunk has not passed yet."""
        known = self.known
        here = (known.trunk or known.now).step * batch_tokens
        can_go_on = self.now is not None or known.ended is not None
        pairs = zip(horizons, branch_points, strict=True)
        return all(horizon in known.readings or (can_go_on and branch >= here) for horizon, branch in pairs)

    def fits(self, num_params: int) -> bool:
        """Whether the states are of a model with so many parameters; earlier versions stored parts under ZeRO 1."""
        return all(state is None or len(state.params) == num_params for state in (self.now, self.trunk))


def save(path: Path, stored: Stored) -> None:
    """Write the file atomically, so that a kill leaves the old file or the new one. Raises OSError."""
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    states = {name: state and state._asdict() for name, state in (("now", stored.now), ("trunk", stored.trunk))}
    try:
        torch.save({"format": FORMAT, "known": json.dumps(_plain(stored.known)), **states}, temporary)
        temporary.replace(path)
    except RuntimeError as error:  # what torch raises if the disk is full
        raise OSError(str(error)) from error
    finally:
        temporary.unlink(missing_ok=True)


def load(path: Path) -> Stored | None:
    """The stored state; None if there is no file of a known format. Only tensors and plain values are loaded."""
    if not path.exists():
        return None
    found = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
    if found.get("format") not in READABLE:
        return None
    known = json.loads(found["known"])
    known["readings"] = {int(horizon): _reading(plain) for horizon, plain in known["readings"].items()}
    for name in ("now", "trunk"):
        known[name] = known[name] and Position(**known[name])
    now, trunk = (found[name] and EngineState(**found[name]) for name in ("now", "trunk"))
    return Stored(Known(**known), now, trunk)


def _reading(plain: Any) -> Reading:
    """A reading from a file. In format 2 it is a pair: the verdict, and the other fields."""
    if isinstance(plain, list):
        verdict, others = plain
        plain = {"verdict": verdict, **others}
    return Reading(**plain)


def _plain(known: Known) -> dict[str, Any]:
    readings = {horizon: reading.model_dump() for horizon, reading in known.readings.items()}
    positions = {"now": known.now._asdict(), "trunk": known.trunk and known.trunk._asdict()}
    return known._asdict() | positions | {"readings": readings}


class Clock:
    """Says when to save a run: every EVERY_SECONDS, more rarely if writing takes long, and when told to end."""

    def __init__(self, every_seconds: float = EVERY_SECONDS) -> None:
        self._every = every_seconds
        self._last = time.monotonic()
        self._next = self._last + every_seconds

    def due(self) -> bool:
        now = time.monotonic()
        return now >= self._next or (STOP.is_set() and now - self._last >= WORTH_SECONDS)

    def saved(self, seconds: float) -> None:
        self._last = time.monotonic()
        self._next = self._last + max(self._every, seconds / SHARE)
