"""Worker processes that train trials. Each has one thread and trains many trials, so it starts up only once."""

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from lrladder.benchmark.environment import die_with, keep_freed_memory, kernel_kills, said_of_kill, train_alone
from lrladder.benchmark.errors import InputError, one_line
from lrladder.benchmark.folders import make_inner, open_plain
from lrladder.benchmark.lab import heartbeat
from lrladder.benchmark.lab.executor import SAVE_SECONDS, Fault, More, Outcome, Runner, Say, no_more
from lrladder.benchmark.lab.heartbeat import LOOK_SECONDS, LOOKS, SILENCE, Pulse
from lrladder.benchmark.lab.loggers.copies import Said, copies
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.retries import Retries, Smaller, none_smaller
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.trial_log import TrialLog

Start = Callable[[], Runner]  # called once in each worker; must be picklable
Fits = Callable[[Sequence[Trial]], bool]  # whether one device can train all of them at the same time
Prepares = Callable[[Trial], Hashable]  # what a worker compiles before the first such trial; None: nothing

LEAVE_SECONDS = 10.0  # for an idle worker to exit; assumption: it needs far less
SHARED = "LRLADDER_DEVICES"  # the GPUs of a trial on several GPUs, for its ranks


class Answer(NamedTuple):
    """What a worker sends back: the outcome of one attempt, and what the log of the trial notes about it.

    `faults` says what is wrong with loggers, each by its name.
    """

    attempt: int
    outcome: Outcome
    notes: tuple[str, ...] = ()
    faults: tuple[tuple[str, str], ...] = ()


class _Worker:
    """One process and the pipe to it. `trial` is the trial that it trains now, as its `attempt`, on the GPUs `held`."""

    def __init__(self, index: int, folder: Path, start: Start, devices: Sequence[str]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.trial: Trial | None = None
        self.held: tuple[str, ...] = ()
        self.attempt = self.kills = 0  # `kills`: by the kernel for lack of memory, before this attempt
        counter = context.RawValue("Q", 0)
        self.pulse = Pulse(counter)
        arguments = (index, folder, start, theirs, os.getpid(), devices, counter)
        self.process: SpawnProcess = context.Process(target=_serve, args=arguments, daemon=True)
        with _no_main():
            self.process.start()
        theirs.close()

    def send(self, trial: Trial, attempt: int, held: tuple[str, ...]) -> None:
        self.trial, self.attempt, self.held, self.kills = trial, attempt, held, kernel_kills()
        self.pulse.reset()
        self.pipe.send((trial, attempt, held))

    def receive(self) -> Answer | None:
        """The answer to the current attempt; None for a late answer to an earlier attempt, which is ignored."""
        try:
            answer: Answer = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode
            why = said_of_kill(self.kills) if code == -signal.SIGKILL else ""
            return Answer(self.attempt, Fault(f"worker died with exit code {code}{why}; see logs/"))
        return answer if answer.attempt == self.attempt else None

    def end(self) -> None:
        """End a worker that gives no sign of life. SIGKILL also ends a stopped one."""
        self.process.kill()

    def stop(self) -> None:
        """Ask the worker to exit, without waiting for it.

        An idle worker exits when its pipe closes, and frees its shared resources. A busy one gets SIGTERM, and saves
        its run before it exits.
        """
        self.pipe.close()
        if self.trial is not None:
            self.process.terminate()

    def gone(self) -> None:
        """Wait until the process has exited; kill it if that takes too long."""
        self.process.join(LEAVE_SECONDS if self.trial is None else SAVE_SECONDS)
        self.process.kill()
        self.process.join()


@contextmanager
def _no_main() -> Iterator[None]:
    """A context in which a new process does not import the user's script again, as multiprocessing would have it do.

    A worker needs nothing of that script, and one without `if __name__ == "__main__"` would run as a whole in each.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


class LocalExecutor:
    """Up to `workers` processes. Each is started when it is first needed and lives until `close`.

    `devices` (GPUs) are assigned to the workers in turn; without devices they train on the CPU. Several trials share a
    device if `fits` allows it. A single trial on a device is always allowed. A trial on several devices
    (`training.devices`) shares none of them; on a CPU it takes the cores of as many workers. A worker without a sign of
    life for `silence` seconds is ended. `prepares` says what a worker compiles before a trial, so that not all workers
    begin with the same. `smaller` gives the trial to train after one that had too little memory. `say` gets a sentence
    for each trial that is tried again or whose log has a note.
    """

    def __init__(
        self,
        folder: Path,
        start: Start,
        *,
        workers: int,
        devices: Sequence[str] = (),
        fits: Fits = lambda trials: True,
        prepares: Prepares = lambda trial: None,
        silence: float = SILENCE,
        smaller: Smaller = none_smaller,
        say: Say = lambda sentence: None,
    ) -> None:
        self._folder, self._start, self._devices, self._fits = folder, start, tuple(devices), fits
        self._prepares, self._prepared = prepares, set[Hashable]()
        self._silence, self._smaller, self._say, self._said = silence, smaller, say, Said(say)
        self._workers: list[_Worker | None] = [None] * workers

    def run(self, trials: Sequence[Trial], more: More = no_more) -> Iterator[tuple[Trial, Outcome]]:
        """Train all trials, the longest first, and yield each when it ends. A failed trial is first tried once more."""
        waiting = list[Trial]()
        asked = dict[str, Trial]()
        attempts = Counter[str]()
        retries = Retries(self._smaller, self._say)
        new = trials
        try:
            while new or waiting or self._busy():
                if new:
                    asked |= {trial.id: trial for trial in new}
                    waiting = sorted([*waiting, *new], key=lambda trial: trial.flops)
                self._hand_out(waiting, attempts)
                if new := more():  # while the workers train
                    continue
                for worker, answer in self._answers():
                    trial, outcome = self._take(worker, answer)
                    next_step = retries.after(trial, outcome) if isinstance(outcome, Fault) else outcome
                    if isinstance(next_step, Trial):
                        waiting.append(next_step)
                    else:
                        yield asked[trial.id], next_step
                new = more()
        except BaseException:  # in particular Ctrl-C: no worker may outlive the command
            self.close()
            raise

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker is not None and worker.trial is not None]

    def _hand_out(self, waiting: list[Trial], attempts: Counter[str]) -> None:
        for index, worker in enumerate(self._workers):
            if worker is not None and worker.trial is not None:
                continue
            for place in self._order(waiting):
                if (held := self._room(index, waiting[place])) is not None:
                    if worker is None:
                        worker = self._workers[index] = _Worker(index, self._folder, self._start, self._devices)
                    trial = waiting.pop(place)
                    attempts[trial.id] += 1
                    worker.send(trial, attempts[trial.id], held)
                    break

    def _order(self, waiting: Sequence[Trial]) -> Iterator[int]:
        """The places of waiting trials in the order in which they are handed out: the longest first.

        But a shape that a worker prepares now comes last, because another worker would prepare it a second time.
        """
        places = reversed(range(len(waiting)))
        busy = {self._prepares(worker.trial) for worker in self._busy() if worker.trial is not None}
        if not (now := busy - self._prepared - {None}):
            return places
        later = [self._prepares(trial) in now for trial in waiting]
        return iter(sorted(places, key=later.__getitem__))

    def _room(self, index: int, trial: Trial) -> tuple[str, ...] | None:
        """The GPUs on which a worker can train a trial now; none of them on a CPU. None if there is no room."""
        count = trial.training.devices
        if not self._devices:  # every worker has one core
            taken = sum(worker.trial.training.devices for worker in self._busy() if worker.trial is not None)
            return () if taken + count <= len(self._workers) else None
        if count > 1:  # each on a GPU of its own
            free = [device for device in self._devices if not self._on(device)]
            return tuple(free[:count]) if len(free) >= count else None
        own = self._devices[index % len(self._devices)]
        beside = self._on(own)
        if beside and (any(one.training.devices > 1 for one in beside) or not self._fits([*beside, trial])):
            return None
        return (own,)

    def _on(self, device: str) -> list[Trial]:
        """The trials that use a GPU now."""
        return [worker.trial for worker in self._busy() if worker.trial is not None and device in worker.held]

    def _answers(self) -> list[tuple[_Worker, Answer]]:
        """The answers of workers that have one, and faults of those that have been silent for too long."""
        look, began = min(LOOK_SECONDS, self._silence / LOOKS), time.monotonic()
        pipes = {worker.pipe: worker for worker in self._busy()}
        ready = [pipes[pipe] for pipe in wait(list(pipes), look) if isinstance(pipe, Connection)]
        awake = min(look, time.monotonic() - began)  # time in which this process itself was stopped does not count
        found = [(worker, answer) for worker in ready if (answer := worker.receive()) is not None]
        for worker in self._busy():
            if worker not in ready and worker.pulse.is_lost(awake, self._silence):
                worker.end()
                fault = Fault(f"worker gave no sign of life for {self._silence:g} s and was ended; see logs/")
                found.append((worker, Answer(worker.attempt, fault)))
        return found

    def _take(self, worker: _Worker, answer: Answer) -> tuple[Trial, Outcome]:
        """The outcome of a worker's trial. After a fault the worker is replaced, because its state may be corrupt."""
        trial, outcome = worker.trial, answer.outcome
        assert trial is not None
        worker.trial = None
        for note in answer.notes:
            self._say(f"trial {trial.id}: {note}")
        self._said(dict(answer.faults))
        if not isinstance(outcome, Fault):
            self._prepared.add(self._prepares(trial))
        else:
            with suppress(OSError, InputError):  # the fault may be a full disk; the outcome reports it anyway
                TrialLog(self._folder, trial).fail(outcome.message)
            worker.stop()
            worker.gone()
            self._workers[self._workers.index(worker)] = None
        return trial, outcome

    def close(self) -> None:
        """End all workers. Busy ones save their runs first."""
        workers = [worker for worker in self._workers if worker is not None]
        self._workers = [None] * len(self._workers)
        for worker in workers:
            worker.stop()
        try:
            for worker in workers:
                worker.gone()
        except BaseException:  # a second Ctrl-C: kill at once
            for worker in workers:
                worker.process.kill()
            raise


def _serve(
    index: int, folder: Path, start: Start, pipe: Connection, parent: int, devices: Sequence[str], counter: Any
) -> None:
    """The main function of a worker: prepare once, then train the trials from the pipe until it closes."""
    _settle(index, folder, parent, devices)
    heartbeat.use(counter)
    run: Runner | None = None
    while True:
        try:
            trial: Trial
            trial, attempt, held = pipe.recv()
        except EOFError:
            return
        notes, faults = list[str](), dict[str, str]()
        if held:
            os.environ[SHARED] = ",".join(held)
        try:
            run = run or start()
            heartbeat.beat()
            outcome: Outcome = _train(run, folder, trial, notes, faults)
        except Exception as error:
            traceback.print_exc()
            outcome = Fault(one_line(error))
        pipe.send(Answer(attempt, outcome, tuple(notes), tuple(faults.items())))


def _train(run: Runner, folder: Path, trial: Trial, notes: list[str], faults: dict[str, str]) -> list[TrialMeasurement]:
    log = TrialLog(folder, trial)
    with copies(folder, trial, faults) as copied:

        def write(row: dict[str, object]) -> None:
            heartbeat.beat()
            log.write(row)
            copied.row(row)
            if "note" in row:
                notes.append(str(row["note"]))

        measurements = run(trial, write)
        log.finish(measurements)
        copied.finish(measurements)
    return measurements


def _settle(index: int, folder: Path, parent: int, devices: Sequence[str]) -> None:
    """Set up the process: one thread, output to a log file. It ignores Ctrl-C and dies with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with(parent)
    keep_freed_memory()
    train_alone()
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    os.environ["CUDA_VISIBLE_DEVICES"] = devices[index % len(devices)] if devices else ""
    make_inner(folder / "logs")
    file = open_plain(folder / "logs" / f"worker-{index}.log", os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
