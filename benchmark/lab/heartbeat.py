"""Signs of life: a worker raises a counter in shared memory, and the coordinator looks whether it still rises.

A counter in memory can neither block the worker nor be torn, as a message through a pipe can.
"""

import math
import os
from typing import Any, Final

from lrladder.benchmark.errors import InputError

VARIABLE = "LRLADDER_SILENCE"
SILENCE = 900.0  # seconds; assumption: far above the longest quiet phase, which is compiling or a large checkpoint
LOOKS: Final = 4  # at the counter during the longest silence
LOOK_SECONDS = 5.0  # at most, between two looks

_own: Any = None  # the counter of this process


def allowed_silence() -> float:
    """Seconds without a sign of life after which a worker is ended. Raises InputError for what is no such time."""
    text = os.environ.get(VARIABLE, str(SILENCE))
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise InputError(f"{VARIABLE}: {text!r} is no number of seconds above 0; give one such as {SILENCE:.0f}")
    return seconds


def use(counter: Any) -> None:
    """Beat with this counter, a ctypes integer in shared memory, from now on."""
    global _own
    _own = counter


def beat() -> None:
    """Give a sign of life. Training calls it after every step; in a process that is no worker it does nothing."""
    if _own is not None:
        _own.value += 1


class Pulse:
    """The coordinator's view of a counter."""

    def __init__(self, counter: Any) -> None:
        self._counter, self._seen, self._silent = counter, counter.value, 0.0

    def reset(self) -> None:
        self._seen, self._silent = self._counter.value, 0.0

    def is_lost(self, seconds: float, allowed: float) -> bool:
        """Whether the worker is silent for too long, after `seconds` more in which this process was awake.

        A process that starts up, and imports torch, may be silent for SILENCE at least.
        """
        if self._counter.value != self._seen:
            self.reset()
        else:
            self._silent += seconds
        return self._silent >= (allowed if self._seen else max(allowed, SILENCE))
