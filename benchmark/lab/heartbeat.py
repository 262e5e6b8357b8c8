"""Signs of life: a worker raises a counter in shared memory, and the coordinator looks whether it still rises.

A counter in memory can neither block the worker nor be torn, as a message through a pipe can.
"""

import math
import os
from typing import Any, Final

from lrladder.benchmark.errors import InputError

VARIABLE = "LRLADDER_SILENCE"
SILENCE = 900.0  # seconds; assumption: far above the longest quiet phase, which is compiling or a large checkpoint
LOOKS: Final = 4  # looks at the counter during the longest allowed silence; assumption
LOOK_SECONDS = 5.0  # most seconds between two looks; assumption

_own: Any = None  # the counter of this process


def allowed_silence() -> float:
    """Seconds without a sign of life after which a worker is ended.

    Raises InputError if the environment sets another value than a positive number.
    """
    text = os.environ.get(VARIABLE, str(SILENCE))
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise InputError(f"{VARIABLE}: {text!r} is not a number of seconds above 0; give one such as {SILENCE:.0f}")
    return seconds


def use(counter: Any) -> None:
    """Beat with this counter, a ctypes integer in shared memory, from now on."""
    global _own
    _own = counter


def beat() -> None:
    """Give a sign of life. Training calls it after every step. In a process that is not a worker it does nothing."""
    if _own is not None:
        _own.value += 1


class Pulse:
    """The coordinator's view of a counter."""

    def __init__(self, counter: Any) -> None:
        self._counter, self._seen, self._silent = counter, counter.value, 0.0

    def reset(self) -> None:
        """Begin to count the silence anew."""
        self._seen, self._silent = self._counter.value, 0.0

    def is_lost(self, seconds: float, allowed: float) -> bool:
        """Whether the worker has been silent for more than `allowed` seconds.

        `seconds` is the time since the last call, without the time when this process itself was stopped. Before its
        first sign of life, while it imports torch, a worker may be silent for at least SILENCE.
        """
        if self._counter.value != self._seen:
            self.reset()
        else:
            self._silent += seconds
        return self._silent >= (allowed if self._seen else max(allowed, SILENCE))
