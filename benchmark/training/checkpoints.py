"""States from which a run can continue: in memory for decay branches, in a file after a kill or for longer horizons."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch

from lrladder.benchmark.training.reading import Reading
from lrladder.benchmark.training.sealed import Sealed
from lrladder.benchmark.training.shared import ALONE, Sharing
from lrladder.benchmark.training.state import EngineState

FORMAT = 4  # of a file; a run with a file of an earlier format starts again, because these have no digest
EVERY_SECONDS = 120.0  # between checkpoints; assumption: a loss of two minutes of training is acceptable
SHARE = 0.05  # largest share of the time that is spent on writing checkpoints; assumption
WORTH_SECONDS = 10.0  # when told to end, a run is saved if it trained this long since its last checkpoint; assumption
STOP = threading.Event()  # set when the process is told to end; the run saves itself after the current step


Say = Callable[[str], None]  # takes a sentence for the log


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


def save(path: Path, stored: Stored, *, say: Say, alone: bool = False, sharing: Sharing = ALONE) -> None:
    """Write a file of the run that `path` names, beside the one before it unless `alone`. Raises OSError, and
    Superseded.
    """
    states = {name: state and state._asdict() for name, state in (("now", stored.now), ("trunk", stored.trunk))}
    content = {"format": FORMAT, "known": json.dumps(_plain(stored.known)), **states}
    try:
        _files(path, say, sharing).write(partial(torch.save, content), alone=alone)
    except RuntimeError as error:  # what torch raises if the disk is full
        raise OSError(str(error)) from error


def is_saved(path: Path, *, say: Say, sharing: Sharing = ALONE) -> bool:
    """Whether there is a file of the run that `path` names, whole or damaged."""
    return _files(path, say, sharing).any()


def load(path: Path, *, say: Say, sharing: Sharing = ALONE) -> Stored | None:
    """The newest whole file of the run that `path` names; None if there is none.

    From now on the files belong to this attempt. A damaged file is renamed, and `say` is told. Only tensors and plain
    values are loaded. Raises Superseded.
    """
    files = _files(path, say, sharing)
    files.claim()
    for file in files.whole():
        try:
            return _load(file)
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, UnpicklingError):
            files.set_aside(file, f"is not of format {FORMAT}")
    return None


def _files(path: Path, say: Say, sharing: Sharing) -> Sealed:
    return Sealed(path.parent, path.stem, say, sharing)


def _load(file: Path) -> Stored:
    found = torch.load(file, weights_only=True, map_location="cpu", mmap=True)
    if found["format"] != FORMAT:
        raise ValueError("of another version")
    known = json.loads(found["known"])
    known["readings"] = {int(horizon): Reading(**plain) for horizon, plain in known["readings"].items()}
    for name in ("now", "trunk"):
        known[name] = known[name] and Position(**known[name])
    now, trunk = (found[name] and EngineState(**found[name]) for name in ("now", "trunk"))
    return Stored(Known(**known), now, trunk)


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
        """Whether the run should be saved now."""
        now = time.monotonic()
        return now >= self._next or (STOP.is_set() and now - self._last >= WORTH_SECONDS)

    def saved(self, seconds: float) -> None:
        """To be called after each save, with the seconds that it took."""
        self._last = time.monotonic()
        self._next = self._last + max(self._every, seconds / SHARE)
