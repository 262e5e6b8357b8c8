"""A logger in a thread of its own: a trial never waits for a tracker, but for a bounded time at its end."""

import queue
import threading
import time
import traceback
from collections.abc import Callable

from lrladder.benchmark.errors import one_line
from lrladder.benchmark.lab.loggers.logger import Logger

PATIENCE = 20.0  # seconds to wait at the end of a trial; one that works took 9 on two cores with seven times their load
MOST_WAITING = 10_000  # rows; a tracker that is so far behind is left out, so that memory stays bounded

Use = Callable[[Logger], None]


class Line:
    """Uses one logger, in the order of the calls. `fault` says what went wrong; from then on nothing is copied."""

    def __init__(self, make: Callable[[], Logger]) -> None:
        self.fault = ""
        self._uses: queue.SimpleQueue[Use | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, args=(make,), daemon=True)
        self._thread.start()

    def put(self, use: Use) -> None:
        """Use the logger soon."""
        if self._uses.qsize() >= MOST_WAITING:
            self.fault = self.fault or f"it is {MOST_WAITING:,} rows behind"
        if not self.fault:
            self._uses.put(use)

    def end(self) -> None:
        """Close the logger after all that waits. `join` waits for it."""
        self._uses.put(None)

    def join(self, until: float) -> None:
        """Wait for the end of the line, but not beyond a moment of the monotonic clock."""
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._thread.is_alive():
            self.fault = self.fault or f"it did not answer within {PATIENCE:g} s"

    def _work(self, make: Callable[[], Logger]) -> None:
        try:
            logger = make()
        except Exception as error:  # a tracker must never cost a measurement
            self._failed(error)
            return
        try:
            while not self.fault and (use := self._uses.get()) is not None:
                use(logger)
        except Exception as error:
            self._failed(error)
        try:
            logger.close()
        except Exception as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        traceback.print_exc()
        self.fault = self.fault or one_line(error)
