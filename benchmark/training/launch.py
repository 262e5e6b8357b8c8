"""Trains one trial on several devices: starts a process for each, watches them, and ends them all together.

torch's launcher, which torchrun is built on, starts and kills the processes. A socket in a private folder connects each
of them to this process. A rank that dies closes its socket; a rank that is frozen sends no more signs of life.
"""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any, NamedTuple

from lrladder.benchmark.environment import kernel_kills, said_of_kill
from lrladder.benchmark.lab.heartbeat import beat
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.training.entry import Verified
from lrladder.benchmark.training.meeting import Meeting
from lrladder.benchmark.training.members import LOOK_SECONDS, Member, RankDied, RankLost, watch
from lrladder.benchmark.training.shared import ALONE, Sharing

START_SECONDS = 300.0  # for all ranks to connect; assumption: imports take a minute on a busy machine
HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)  # for which torch's launcher sets handlers
CLOSE_SECONDS = 1  # for killed processes to disappear; assumption


class Job(NamedTuple):
    """What every rank needs to know. The first rank writes the files."""

    trial: Trial
    corpus: Verified
    val_documents: int
    trunks: Path | None
    keep: bool
    weights: Path | None  # the folder for validated weights
    micro_batch: int
    compile_cache: Path | None  # None: the trial is not compiled
    sharing: Sharing = ALONE


class Part(NamedTuple):
    """The ranks of a trial that one of several machines starts: `number` of them from `first` on."""

    first: int
    number: int
    meeting: Meeting


def train_on_ranks(
    job: Job,
    *,
    log: Callable[[dict[str, object]], None],
    is_told_to_end: Callable[[], bool] = lambda: False,
    devices: str | None = None,
    part: Part | None = None,
) -> list[TrialMeasurement]:
    """Train the trial of a job on its ranks, and return what the first rank measured.

    `devices` is the value of CUDA_VISIBLE_DEVICES for the ranks. With `part` this machine has only some of the ranks;
    without the first one nothing is measured. Raises RankLost, and SystemExit if told to end. No rank outlives this
    call.
    """
    kills = kernel_kills()
    with tempfile.TemporaryDirectory(prefix="lrladder-") as private:
        folder = Path(private)
        with Listener(str(folder / "socket"), "AF_UNIX") as listener:
            processes = _start(folder, job.trial.training.devices, devices, part)
            try:
                members = _connected(listener, processes, job, part)
                return watch(members, log, is_told_to_end, lambda: _tell_to_end(processes))
            except RankDied as error:
                raise RankLost(f"{error}{said_of_kill(kills)}; see logs/") from None
            finally:
                _kill(processes)


def _start(folder: Path, count: int, devices: str | None, part: Part | None) -> Any:
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, start_processes

    first, here = (part.first, part.number) if part else (0, count)
    common = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(here)}
    if devices is not None:
        common["CUDA_VISIBLE_DEVICES"] = devices
    with _own_handlers():
        return start_processes(
            name="lrladder",
            entrypoint=sys.executable,
            args={n: ("-m", "lrladder.benchmark.training.rank", str(folder), str(os.getpid())) for n in range(here)},
            envs={n: {**common, "RANK": str(first + n), "LOCAL_RANK": str(n)} for n in range(here)},
            logs_specs=DefaultLogsSpecs(log_dir=str(folder)),
        )


@contextmanager
def _own_handlers() -> Iterator[None]:
    """A context that puts signal handlers back. torch's launcher sets some that would end this process at SIGTERM."""
    before = {number: signal.getsignal(number) for number in HANDLED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _connected(listener: Listener, processes: Any, job: Job, part: Part | None) -> list[Member]:
    """The ranks, in their order, once all have connected and have the job."""
    socket: Any = listener._listener._socket  # type: ignore[attr-defined]  # a Listener cannot wait with a limit
    socket.settimeout(LOOK_SECONDS)
    pipes: dict[int, Connection] = {}
    count = job.trial.training.devices
    first, here, meeting = part or (0, count, None)
    until = time.monotonic() + START_SECONDS
    while len(pipes) < here:
        beat()  # this process is alive while it waits; START_SECONDS limits the wait
        with suppress(TimeoutError):
            pipe = listener.accept()
            pipes[pipe.recv()] = pipe
            pipe.send((job, meeting))
        for place, handler in processes.subprocess_handlers.items():
            if handler.proc.poll() is not None:
                code = handler.proc.returncode
                raise RankDied(f"rank {first + place} died with exit code {code} at its start")
        if time.monotonic() > until:
            raise RankLost(f"only {len(pipes)} of {here} ranks had started after {START_SECONDS:g} s")
    return [Member(f"rank {rank} of {count}", pipe) for rank, pipe in sorted(pipes.items())]


def _tell_to_end(processes: Any) -> None:
    for process in processes.pids().values():
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)


def _kill(processes: Any) -> None:
    """Kill every rank with all that it started. Each is a process group of its own."""
    for process in processes.pids().values():
        with suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
    processes.close(signal.SIGKILL, CLOSE_SECONDS)
