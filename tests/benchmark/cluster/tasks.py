"""Stand-ins for what runs on the machines of a cluster."""

import os
import signal
import threading
from typing import Any

import ray

from lrladder.benchmark.cluster.answer import answer
from lrladder.benchmark.cluster.post import Post
from lrladder.benchmark.cluster.task import Assignment, Coordinator, Found, train_trial


def freeze_first(coordinator: Coordinator, given: Assignment) -> Found:
    """Train a trial, but as the first attempt of its study stop the process once it has sent a letter."""
    if given.attempt == 1:
        with Post(coordinator.mailbox, given.attempt, 0):
            os.kill(os.getpid(), signal.SIGSTOP)
    return train_trial(coordinator, given)


class Gate:
    """An actor at which tasks wait as they wait for the coordinator, until it opens."""

    def __init__(self) -> None:
        self._opened, self._arrived = threading.Event(), threading.Semaphore(0)
        self.others = 0

    def wait(self) -> None:
        """Returns once the gate is open."""
        self._arrived.release()
        self._opened.wait()

    def open(self) -> None:
        """Let all go."""
        self._opened.set()

    def arrived(self, count: int) -> None:
        """Returns once so many tasks wait."""
        for _ in range(count):
            self._arrived.acquire()

    def begun(self) -> None:
        """Count one more task that has begun and does not wait."""
        self.others += 1

    def num_others(self) -> int:
        """Number of tasks that have begun and did not wait."""
        return self.others


def wait_at(gate: Any) -> None:
    """Wait as a task of a trial waits for an answer."""
    answer(gate.wait.remote())


def begin(gate: Any) -> None:
    """Say that this task has begun."""
    answer(gate.begun.remote())


def node() -> str:
    """The address of the machine on which it runs."""
    return str(ray.util.get_node_ip_address())
