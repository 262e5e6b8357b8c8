"""The executor that trains trials on a Ray cluster. It hands out attempts, hears of them, and repeats what was lost.

It runs where the study runs, and it alone writes logs and store. The machines of the cluster write checkpoints.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray.exceptions import ActorDiedError, GetTimeoutError, NodeDiedError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lrladder.benchmark.cluster.arrival import CorpusFiles
from lrladder.benchmark.cluster.attempt import Attempt, kill
from lrladder.benchmark.cluster.mailbox import Mailbox
from lrladder.benchmark.cluster.task import Assignment, Coordinator
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import make_inner, open_plain
from lrladder.benchmark.lab.executor import SAVE_SECONDS, Fault, More, Outcome, Say, no_more
from lrladder.benchmark.lab.loggers.copies import Said
from lrladder.benchmark.lab.retries import Retries
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.training.memory import halved
from lrladder.benchmark.training.shared import Sharing
from lrladder.benchmark.training.site import Machines
from lrladder.benchmark.training.worker import WorkerSetup

LOSSES = 20  # lost machines after which a trial counts as failed, as it may be what breaks them; assumption
WAIT_SECONDS = 60.0  # without room for any trial, after which the user is told; assumption
LOOK_SECONDS = 1.0  # longest time between two looks into the mailbox; assumption


class Lost(NamedTuple):
    """An attempt that ended because its machine went away. It is no fault of the trial."""

    message: str


class RayExecutor:
    """Trains trials on a cluster. At most `limit` attempts are handed to Ray at a time; None: all of them.

    `say` gets a sentence for each trial that is tried again or whose log has a note.
    """

    def __init__(
        self,
        store: Store,
        setup: WorkerSetup,
        *,
        url: str | None,
        machines: Machines,
        limit: int | None,
        silence: float,
        settings: dict[str, str],
        say: Say,
    ) -> None:
        self._store, self._setup, self._url, self._machines = store, setup, url, machines
        self._limit, self._silence, self._say, self._said = limit, silence, say, Said(say)
        self._attempts: list[Attempt] = []
        self._waited = 0.0  # seconds in which no attempt had room
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        beside = {"scheduling_strategy": here, "num_cpus": 0}
        self._mailbox: Any = ray.remote(Mailbox).options(**beside).remote()
        corpus = ray.remote(CorpusFiles).options(**beside).remote(setup.verified)
        self._coordinator = Coordinator(self._mailbox, corpus, settings)

    @property
    def _folder(self) -> Path:
        return self._store.folder

    def run(self, trials: Sequence[Trial], more: More = no_more) -> Iterator[tuple[Trial, Outcome]]:
        """Train all trials, the longest first, and yield each when it ends.

        A trial whose machine is lost is tried again, and so is a failed one once. Raises OSError if the cluster is
        lost.
        """
        waiting = list[Trial]()
        asked = dict[str, Trial]()
        losses = Counter[str]()
        retries = Retries(partial(halved, room_bytes=self._machines.gpu_bytes), self._say)
        new = trials
        try:
            while new or waiting or self._attempts:
                if new:
                    asked |= {trial.id: trial for trial in new}
                    waiting = sorted([*waiting, *new], key=lambda trial: trial.flops)
                while waiting and (self._limit is None or len(self._attempts) < self._limit):
                    self._hand_out(waiting.pop())
                for attempt, ended in self._ended():
                    outcome = self._outcome(attempt, ended, retries, losses)
                    if isinstance(outcome, Trial):
                        waiting.append(outcome)
                    else:
                        yield asked[attempt.trial.id], outcome
                new = more()
        except ActorDiedError as error:
            self._attempts.clear()
            raise OSError(f"the Ray cluster was lost ({' '.join(str(error).split())[:200]})") from error
        except BaseException:  # in particular Ctrl-C
            self.close()
            raise

    def _hand_out(self, trial: Trial) -> None:
        number = self._store.next_attempt()
        given = Assignment(trial, self._setup, Sharing(number, self._url), number, self._machines.gpu_bytes)
        attempt = Attempt(given, self._folder)
        ray.get(self._mailbox.admit.remote(number))
        self._attempts.append(attempt)
        attempt.submit(self._coordinator)

    def _outcome(
        self, attempt: Attempt, ended: Outcome | Lost, retries: Retries, losses: Counter[str]
    ) -> Outcome | Trial:
        """The outcome of a trial, after its log has it, or the trial that is to be tried in its place."""
        key = attempt.trial.id
        for note in attempt.notes:
            self._say(f"trial {key}: {note}")
        if not isinstance(ended, Fault | Lost):
            attempt.finish(ended)
            self._said(attempt.faults)
            return ended
        with suppress(OSError, InputError):  # the fault may be a full disk; the outcome reports it anyway
            attempt.fail(ended.message)
        self._said(attempt.faults)
        if isinstance(ended, Fault):
            return retries.after(attempt.trial, ended)
        losses[key] += 1
        if losses[key] >= LOSSES:
            return Fault(ended.message)
        self._say(f"trial {key}: {ended.message}; it is tried again")
        return attempt.trial

    def _ended(self) -> list[tuple[Attempt, Outcome | Lost]]:
        """The attempts that have ended since the last call, after a wait of LOOK_SECONDS at most."""
        began = time.monotonic()
        refs = [ref for attempt in self._attempts for ref in attempt.refs]
        ready, _ = ray.wait(refs, timeout=LOOK_SECONDS)
        passed = min(LOOK_SECONDS, time.monotonic() - began)  # time in which this process itself was stopped counts not
        self._take_letters()
        self._tell_who_waits(passed)
        ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0)
        found = []
        for attempt in self._attempts:
            ended = _result(attempt, set(ready)) or self._silence_of(attempt, passed)
            if ended is not None:
                found.append((attempt, ended))
        if found:
            self._take_letters()  # their last ones
        for attempt, _ in found:
            self._forget(attempt)
        return [(attempt, _named(attempt, ended)) for attempt, ended in found]

    def _tell_who_waits(self, passed: float) -> None:
        before = self._waited
        self._waited = 0.0 if any(attempt.processes for attempt in self._attempts) else before + passed
        if before < WAIT_SECONDS <= self._waited:
            self._say(f"no machine of the Ray cluster has had room for a trial for {WAIT_SECONDS:g} s; still waiting")

    def _take_letters(self) -> None:
        by_number = {attempt.number: attempt for attempt in self._attempts}
        for letter in ray.get(self._mailbox.take.remote()):
            if letter.attempt in by_number:
                by_number[letter.attempt].receive(letter)
            if letter.trace:
                self._note_trace(letter.attempt, letter.trace)

    def _note_trace(self, number: int, trace: str) -> None:
        make_inner(self._folder / "logs")
        file = open_plain(self._folder / "logs" / "cluster.log", os.O_WRONLY | os.O_APPEND)
        with os.fdopen(file, "a", encoding="utf-8") as log:
            log.write(f"attempt {number}\n{trace}\n")

    def _silence_of(self, attempt: Attempt, passed: float) -> Fault | None:
        silent = attempt.silent(passed, self._silence)
        for letter in silent:
            kill(letter)
        if not silent:
            return None
        return Fault(f"attempt {attempt.number} on {silent[0].node} gave no sign of life for {self._silence:g} s")

    def _forget(self, attempt: Attempt) -> None:
        self._attempts.remove(attempt)
        ray.get(self._mailbox.refuse.remote(attempt.number))
        attempt.clear_away()

    def close(self) -> None:
        """End all attempts. Those that train save their runs first, unless this is interrupted."""
        try:
            with suppress(RayError):
                self._wait_for_saves()
        finally:
            for attempt in self._attempts:
                attempt.clear_away()
            self._attempts.clear()

    def _wait_for_saves(self) -> None:
        ray.get(self._mailbox.stop.remote())
        until = time.monotonic() + SAVE_SECONDS
        for attempt in self._attempts:
            if not attempt.processes:
                attempt.clear_away()
        busy = [ref for attempt in self._attempts if attempt.processes for ref in attempt.refs]
        while busy and time.monotonic() < until:
            _, busy = ray.wait(busy, num_returns=len(busy), timeout=LOOK_SECONDS)
            self._take_letters()


def _result(attempt: Attempt, ready: set[object]) -> Outcome | Lost | None:
    """How the tasks of an attempt ended; None if they go on. One that fails ends the whole attempt."""
    done = [ref for ref in attempt.refs if ref in ready]
    measured: Outcome | None = None
    for ref in done:
        try:
            measured = ray.get(ref, timeout=0) or measured
        except NodeDiedError:
            return Lost("its machine was lost")
        except GetTimeoutError:
            return None
        except RayError as error:
            return _end_of(attempt, error)
    if len(done) < len(attempt.refs):
        return None
    return measured or Lost("it was told to end")


def _end_of(attempt: Attempt, error: RayError) -> Fault | Lost:
    alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    if any(letter.node_id not in alive for letter, _, _ in attempt.processes.values()):
        return Lost("its machine was lost")
    return Fault(" ".join(str(error).split())[:200])


def _named(attempt: Attempt, ended: Outcome | Lost) -> Outcome | Lost:
    """What a process said of its fault, in place of what Ray saw of its end."""
    return Fault(attempt.fault) if isinstance(ended, Fault) and attempt.fault else ended
