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
from torch import Tensor

from lrladder.benchmark.training.reading import Reading
from lrladder.benchmark.training.sealed import Sealed

FORMAT = 4  # of a file; earlier ones have no digest, so that damage would go unnoticed, and the run starts again
EVERY_SECONDS = 120.0  # between checkpoints; a kill loses no more than this
SHARE = 0.05  # largest share of the time that is spent on writing them
WORTH_SECONDS = 10.0  # of training since the last checkpoint that are worth saving when told to end
STOP = threading.Event()  # set when the process is told to end; the run saves itself after the current step


Say = Callable[[str], None]  # takes a sentence for the log


class EngineState(NamedTuple):
    """Every tensor that training changes: parameters, the tensors that are updated instead of them, and AdamW moments.

    The engine's inner optimizer has the tensors that are really updated. These are the parameters themselves at stage
    0, and flat partitions under ZeRO 1. The position in the data follows from the step, which is in Position.
    """

    params: list[Tensor]
    moments: list[dict[str, Any]]
    rng: Tensor


class Position(NamedTuple):
    """The position of a run, without its tensors. `watch` is the state of benchmark.training.watch."""

    step: int
    losses: list[float]
    watch: dict[str, Any]


class Snapshot(NamedTuple):
    """The position of a run with copies of its tensors."""

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
    """The content of a file. A finished run whose trunk was not kept has no state."""

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


def live_state(engine: Any) -> EngineState:
    """The tensors of the engine themselves, which change during training."""
    moments = [dict(engine.basic_optimizer.state.get(param, {})) for param in _parameters(engine)]
    return EngineState([param.detach() for param in _parameters(engine)], moments, torch.get_rng_state())


def copied_state(engine: Any) -> EngineState:
    """Copies of the tensors of the engine, on the same device."""
    live = live_state(engine)
    moments = [{name: value.clone() for name, value in of_one.items()} for of_one in live.moments]
    return EngineState([param.clone() for param in live.params], moments, live.rng)


@torch.no_grad()
def put_back(engine: Any, state: EngineState) -> None:
    """Copy the state into the engine that it came from, or into a fresh engine of the same trial."""
    held = engine.basic_optimizer.state
    for param, saved, moments in zip(_parameters(engine), state.params, state.moments, strict=True):
        param.copy_(saved)
        if not moments:
            held.pop(param, None)
        elif param in held:
            for name, value in moments.items():
                held[param][name].copy_(value)
        else:
            held[param] = {name: value.to(param.device, copy=True) for name, value in moments.items()}
    torch.set_rng_state(state.rng)


def size_of(state: EngineState) -> int:
    """Size of the tensors in bytes."""
    return sum(tensor.nbytes for tensor in (*state.params, *(v for found in state.moments for v in found.values())))


def save(path: Path, stored: Stored, *, say: Say, alone: bool = False) -> None:
    """Write a file of the run that `path` names, beside the one before it unless `alone`. Raises OSError."""
    states = {name: state and state._asdict() for name, state in (("now", stored.now), ("trunk", stored.trunk))}
    content = {"format": FORMAT, "known": json.dumps(_plain(stored.known)), **states}
    try:
        _files(path, say).write(partial(torch.save, content), alone=alone)
    except RuntimeError as error:  # what torch raises if the disk is full
        raise OSError(str(error)) from error


def is_saved(path: Path, *, say: Say) -> bool:
    return _files(path, say).any()


def load(path: Path, *, say: Say) -> Stored | None:
    """The newest whole file of the run that `path` names; None if there is none.

    A damaged file is set aside, and that is said. Only tensors and plain values are loaded.
    """
    files = _files(path, say)
    for file in files.whole():
        try:
            return _load(file)
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, UnpicklingError):
            files.set_aside(file, f"is not of format {FORMAT}")
    return None


def _files(path: Path, say: Say) -> Sealed:
    return Sealed(path.parent, path.stem, say)


def _load(file: Path) -> Stored:
    found = torch.load(file, weights_only=True, map_location="cpu")
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
        now = time.monotonic()
        return now >= self._next or (STOP.is_set() and now - self._last >= WORTH_SECONDS)

    def saved(self, seconds: float) -> None:
        self._last = time.monotonic()
        self._next = self._last + max(self._every, seconds / SHARE)


def _parameters(engine: Any) -> list[Tensor]:
    """The parameters of the model and all other tensors that the optimizer updates, in a fixed order."""
    found = [
        *engine.module.parameters(),
        *(p for group in engine.basic_optimizer.param_groups for p in group["params"]),
    ]
    return list({id(tensor): tensor for tensor in found}.values())
