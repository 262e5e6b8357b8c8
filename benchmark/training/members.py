"""Watches those who train a trial together, ranks or hosts, until all are done or one is lost."""

import signal
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

from lrladder.benchmark.lab.heartbeat import beat
from lrladder.benchmark.lab.measurement import TrialMeasurement

SILENT_SECONDS = 20.0  # without a sign of life, after which a rank counts as frozen, so that the trial ends within 30 s
LEAVE_SECONDS = 20.0  # for ranks to save their trial when told to end; the worker has 25 s (benchmark/lab/executor.py)
LOOK_SECONDS = 0.5  # longest wait for a message; assumption


class RankLost(RuntimeError):
    """A rank died, froze or failed. The message says which one."""


class RankDied(RankLost):
    """A rank is gone without a word."""


class Member(NamedTuple):
    """One who trains. It sends messages of the kinds alive, row, measured, left and failed."""

    name: str  # for messages, such as `rank 1 of 2`
    pipe: Connection


def watch(
    members: Sequence[Member],
    log: Callable[[dict[str, object]], None],
    is_told_to_end: Callable[[], bool],
    tell_to_end: Callable[[], None],
) -> list[TrialMeasurement]:
    """Pass on what the members send until all are done, and return what they measured.

    `tell_to_end` is called once, when `is_told_to_end`. Raises RankLost, or SystemExit if the members left.
    """
    by_pipe = {member.pipe: member for member in members}
    heard = dict.fromkeys(by_pipe, time.monotonic())
    measurements: list[TrialMeasurement] = []
    leave_by: float | None = None
    has_left = False
    while by_pipe:
        if leave_by is None and is_told_to_end():
            tell_to_end()
            leave_by = time.monotonic() + LEAVE_SECONDS
        for pipe in wait(list(by_pipe), LOOK_SECONDS):
            assert isinstance(pipe, Connection)
            heard[pipe] = time.monotonic()
            match _received(by_pipe[pipe]):
                case "alive", has_moved:
                    if has_moved:
                        beat()
                case "row", row:
                    log(row)
                case "measured", found:
                    measurements = found or measurements
                    del by_pipe[pipe]
                case "left", _:
                    has_left = True
                    del by_pipe[pipe]
        _require_life(by_pipe, heard, leave_by)
    if has_left and not measurements:  # told to end, by us or by whoever sends SIGTERM to ranks
        raise SystemExit(128 + signal.SIGTERM)
    return measurements


def _received(member: Member) -> tuple[str, Any]:
    """The next message of a member. Raises RankLost if it died or failed."""
    try:
        kind, content = member.pipe.recv()
    except (EOFError, OSError):
        raise RankDied(f"{member.name} died") from None
    if kind == "failed":
        raise RankLost(f"{member.name} failed: {content}")
    return kind, content


def _require_life(by_pipe: dict[Connection, Member], heard: dict[Connection, float], leave_by: float | None) -> None:
    now = time.monotonic()
    for pipe, member in by_pipe.items():
        if now - heard[pipe] > SILENT_SECONDS:
            raise RankLost(f"{member.name} gave no sign of life for {SILENT_SECONDS:g} s")
    if leave_by is not None and now > leave_by and by_pipe:
        raise SystemExit(128 + signal.SIGTERM)
