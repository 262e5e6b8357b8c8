"""Worker processes that train trials. Each has one thread and trains many trials, so it starts up only once."""

import ctypes
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from lrladder.benchmark.environment import keep_freed_memory, train_alone
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import make_inner, open_plain
from lrladder.benchmark.lab.loggers import copies
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.trial_log import TrialLog

Runner = Callable[[Trial, Callable[[dict[str, object]], None]], list[TrialMeasurement]]
Start = Callable[[], Runner]  # called once in each worker; must be picklable
Fits = Callable[[Sequence[Trial]], bool]  # whether one device can train all of them at the same time

ATTEMPTS = 2  # the machine may be the cause of a fault, so a failed trial is tried once more in a fresh worker
LEAVE_SECONDS = 10.0  # to exit; assumption: ample for an idle worker
SAVE_SECONDS = 25.0  # for a busy one to save its run; schedulers kill a job 30 s after SIGTERM
SHARED = "LRLADDER_DEVICES"  # tells the ranks of a trial on several GPUs which they are
PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True)
class Fault:
    """A trial that failed because of the program or the machine. A divergence is not a fault."""

    message: str


Outcome = list[TrialMeasurement] | Fault


class _Worker:
    """One process and the pipe to it. `trial` is the trial that it trains now, on the GPUs `held`."""

    def __init__(self, index: int, folder: Path, start: Start, devices: Sequence[str]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.trial: Trial | None = None
        self.held: tuple[str, ...] = ()
        arguments = (index, folder, start, theirs, os.getpid(), devices)
        self.process: SpawnProcess = context.Process(target=_serve, args=arguments, daemon=True)
        self.process.start()
        theirs.close()

    def send(self, trial: Trial, held: tuple[str, ...]) -> None:
        self.trial, self.held = trial, held
        self.pipe.send((trial, held))

    def receive(self) -> Outcome:
        try:
            outcome: Outcome = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            return Fault(f"worker died with exit code {self.process.exitcode}; see logs/")
        return outcome

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


class LocalExecutor:
    """Up to `workers` processes. Each is started when it is first needed and lives until `close`.

    `devices` (GPUs) are assigned to the workers in turn; without devices they train on the CPU. Several trials share a
    device if `fits` allows it. A single trial on a device is always allowed. A trial on several devices
    (`training.devices`) shares none of them; on a CPU it takes the cores of as many workers.
    """

    def __init__(
        self, folder: Path, start: Start, *, workers: int, devices: Sequence[str] = (), fits: Fits = lambda trials: True
    ) -> None:
        self._folder, self._start, self._devices, self._fits = folder, start, tuple(devices), fits
        self._workers: list[_Worker | None] = [None] * workers

    def run(self, trials: Sequence[Trial]) -> Iterator[tuple[Trial, Outcome]]:
        """Train all trials, the longest first, and yield each when it ends. A failed trial is first tried once more."""
        waiting = sorted(trials, key=lambda trial: trial.flops)
        attempts = dict.fromkeys((trial.id for trial in trials), 0)
        try:
            while waiting or self._busy():
                self._hand_out(waiting)
                for worker in self._ready():
                    trial, outcome = self._take(worker)
                    attempts[trial.id] += 1
                    if isinstance(outcome, Fault) and attempts[trial.id] < ATTEMPTS:
                        waiting.append(trial)
                    else:
                        yield trial, outcome
        except BaseException:  # in particular Ctrl-C: no worker may outlive the command
            self.close()
            raise

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker is not None and worker.trial is not None]

    def _hand_out(self, waiting: list[Trial]) -> None:
        for index, worker in enumerate(self._workers):
            if worker is not None and worker.trial is not None:
                continue
            for place in reversed(range(len(waiting))):  # the longest first
                if (held := self._room(index, waiting[place])) is not None:
                    if worker is None:
                        worker = self._workers[index] = _Worker(index, self._folder, self._start, self._devices)
                    worker.send(waiting.pop(place), held)
                    break

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

    def _ready(self) -> list[_Worker]:
        pipes = {worker.pipe: worker for worker in self._busy()}
        return [pipes[pipe] for pipe in wait(list(pipes)) if isinstance(pipe, Connection)]

    def _take(self, worker: _Worker) -> tuple[Trial, Outcome]:
        """The outcome of a worker's trial. After a fault the worker is replaced, because its state may be corrupt."""
        trial, outcome = worker.trial, worker.receive()
        assert trial is not None
        worker.trial = None
        if isinstance(outcome, Fault):
            with suppress(OSError, InputError):  # the fault may be a full disk; the outcome reports it anyway
                TrialLog(self._folder, trial).fail(outcome.message)
            worker.stop()
            worker.gone()
            self._workers[self._workers.index(worker)] = None
        return trial, outcome

    def close(self) -> None:
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


def _serve(index: int, folder: Path, start: Start, pipe: Connection, parent: int, devices: Sequence[str]) -> None:
    """The main function of a worker: prepare once, then train the trials from the pipe until it closes."""
    _settle(index, folder, parent, devices)
    run: Runner | None = None
    while True:
        try:
            trial: Trial
            trial, held = pipe.recv()
        except EOFError:
            return
        if held:
            os.environ[SHARED] = ",".join(held)
        try:
            run = run or start()
            outcome: Outcome = _train(run, folder, trial)
        except Exception as error:
            traceback.print_exc()
            outcome = Fault(f"{type(error).__name__}: {' '.join(str(error).split())}")
        pipe.send(outcome)


def _train(run: Runner, folder: Path, trial: Trial) -> list[TrialMeasurement]:
    log = TrialLog(folder, trial)
    with copies(folder, trial) as copied:

        def write(row: dict[str, object]) -> None:
            log.write(row)
            copied.row(row)

        measurements = run(trial, write)
        log.finish(measurements)
        copied.finish(measurements)
    return measurements


def _settle(index: int, folder: Path, parent: int, devices: Sequence[str]) -> None:
    """Set up the process: one thread, output to a log file. It ignores Ctrl-C and dies with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before prctl
        os._exit(1)
    keep_freed_memory()
    train_alone()
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    os.environ["CUDA_VISIBLE_DEVICES"] = devices[index % len(devices)] if devices else ""
    make_inner(folder / "logs")
    file = open_plain(folder / "logs" / f"worker-{index}.log", os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
