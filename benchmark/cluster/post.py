"""The line from a process that trains to the mailbox of the coordinator."""

import ctypes
import os
import threading
from types import TracebackType
from typing import Any, Self

import ray

from lrladder.benchmark.cluster.answer import answer
from lrladder.benchmark.cluster.mailbox import Letter
from lrladder.benchmark.lab import heartbeat
from lrladder.benchmark.training.checkpoints import STOP

EVERY_SECONDS = 1.0  # between two letters; assumption: `status` need not be fresher


class Post:
    """Sends the log rows and signs of life of one process. If the coordinator says so, or is lost, the run is ended."""

    def __init__(self, mailbox: Any, attempt: int, rank: int) -> None:
        self._mailbox, self._rows = mailbox, list[dict[str, object]]()
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._beats = ctypes.c_uint64(0)
        context = ray.get_runtime_context()
        self._head = Letter(attempt, rank, ray.util.get_node_ip_address(), context.get_node_id(), os.getpid(), 0)

    def __enter__(self) -> Self:
        heartbeat.use(self._beats)
        self.send()
        threading.Thread(target=self._keep_sending, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self.send()

    def row(self, row: dict[str, object]) -> None:
        """Take a row for the log of the trial."""
        heartbeat.beat()
        self._rows.append(row)

    def fault(self, message: str, trace: str) -> None:
        """Send the fault that ends the attempt."""
        self.send(message, trace)

    def send(self, fault: str | None = None, trace: str = "") -> None:
        """Send what there is, and wait until it has arrived."""
        with self._lock:  # one letter after the other, so that rows stay in order
            rows = tuple(self._rows)
            del self._rows[: len(rows)]
            letter = self._head._replace(rows=rows, beats=self._beats.value, fault=fault, trace=trace)
            try:
                order = answer(self._mailbox.deliver.remote(letter))
            except ray.exceptions.RayError:
                order = "stop"
        if order != "go":
            STOP.set()

    def _keep_sending(self) -> None:
        while not self._closed.wait(EVERY_SECONDS):
            self.send()
