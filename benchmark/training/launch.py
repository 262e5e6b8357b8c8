"""Trains one trial on several devices: starts a process for each, watches them, and ends them all together.

torch's launcher, which torchrun is built on, starts and kills the processes. A socket in a private folder connects each
of them to this process. A rank that dies closes its socket; a rank that is frozen sends no more signs of life.
"""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, Listener, wait
from pathlib import Path
from typing import Any, NamedTuple

from lrladder.benchmark.environment import kernel_kills, said_of_kill
from lrladder.benchmark.lab.heartbeat import beat
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.training.entry import Verified
from lrladder.benchmark.training.shared import ALONE, Sharing

START_SECONDS = 300.0  # for all ranks to connect; assumption: imports take a minute on a busy machine
SILENT_SECONDS = 20.0  # without a sign of life, after which a rank counts as frozen, so that the trial ends within 30 s
LEAVE_SECONDS = 20.0  # for ranks to save their trial when told to end; the worker has 25 s (benchmark/lab/executor.py)
LOOK_SECONDS = 0.5  # longest wait for a message; assumption
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


class RankLost(RuntimeError):
    """A rank died, froze or failed. The message says which one."""


class RankDied(RankLost):
    """A rank is gone without a word."""


def train_on_ranks(
    job: Job,
    *,
    log: Callable[[dict[str, object]], None],
    is_told_to_end: Callable[[], bool] = lambda: False,
    devices: str | None = None,
) -> list[TrialMeasurement]:
    """Train the trial of a job on its ranks, and return what the first rank measured.

    `devices` is the value of CUDA_VISIBLE_DEVICES for the ranks. Raises RankLost, and SystemExit if told to end. No
    rank outlives this call.
    """
    kills = kernel_kills()
    with tempfile.TemporaryDirectory(prefix="lrladder-") as private:
        folder = Path(private)
        with Listener(str(folder / "socket"), "AF_UNIX") as listener:
            processes = _start(folder, job.trial.training.devices, devices)
            try:
                pipes = _connected(listener, processes, job)
                return _watch(pipes, processes, log, is_told_to_end)
            except RankDied as error:
                raise RankLost(f"{error}{said_of_kill(kills)}; see logs/") from None
            finally:
                _kill(processes)


def _start(folder: Path, count: int, devices: str | None) -> Any:
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, start_processes

    common = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
    if devices is not None:
        common["CUDA_VISIBLE_DEVICES"] = devices
    return start_processes(
        name="lrladder",
        entrypoint=sys.executable,
        args={rank: ("-m", "lrladder.benchmark.training.rank", str(folder), str(os.getpid())) for rank in range(count)},
        envs={rank: {**common, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)},
        logs_specs=DefaultLogsSpecs(log_dir=str(folder)),
    )


def _connected(listener: Listener, processes: Any, job: Job) -> dict[int, Connection]:
    """The pipe to each rank, once all have connected and have the job."""
    socket: Any = listener._listener._socket  # type: ignore[attr-defined]  # a Listener cannot wait with a limit
    socket.settimeout(LOOK_SECONDS)
    pipes: dict[int, Connection] = {}
    until = time.monotonic() + START_SECONDS
    while len(pipes) < job.trial.training.devices:
        beat()  # this process is alive while it waits; START_SECONDS limits the wait
        with suppress(TimeoutError):
            pipe = listener.accept()
            pipes[pipe.recv()] = pipe
            pipe.send(job)
        for rank, handler in processes.subprocess_handlers.items():
            if handler.proc.poll() is not None:
                raise RankDied(f"rank {rank} died with exit code {handler.proc.returncode} at its start")
        if time.monotonic() > until:
            count = job.trial.training.devices
            raise RankLost(f"only {len(pipes)} of {count} ranks had started after {START_SECONDS:g} s")
    return pipes


def _watch(
    pipes: dict[int, Connection],
    processes: Any,
    log: Callable[[dict[str, object]], None],
    is_told_to_end: Callable[[], bool],
) -> list[TrialMeasurement]:
    """Pass on what the ranks send until all are done. Raises RankLost, or SystemExit if told to end."""
    rank_of = {pipe: rank for rank, pipe in pipes.items()}
    heard = dict.fromkeys(pipes, time.monotonic())
    measurements: list[TrialMeasurement] = []
    leave_by: float | None = None
    while rank_of:
        if leave_by is None and is_told_to_end():
            _tell_to_end(processes)
            leave_by = time.monotonic() + LEAVE_SECONDS
        for pipe in wait(list(rank_of), LOOK_SECONDS):
            assert isinstance(pipe, Connection)
            rank = rank_of[pipe]
            heard[rank] = time.monotonic()
            match _received(pipe, rank, len(pipes)):
                case "alive", has_moved:
                    if has_moved:
                        beat()
                case "row", row:
                    log(row)
                case "measured", found:
                    measurements = found or measurements
                    del rank_of[pipe]
                case "left", _:
                    del rank_of[pipe]
        _require_life(rank_of, heard, len(pipes), leave_by)
    if not measurements:  # told to end, by us or by whoever sends SIGTERM to ranks
        raise SystemExit(128 + signal.SIGTERM)
    return measurements


def _received(pipe: Connection, rank: int, count: int) -> tuple[str, Any]:
    """The next message of a rank. Raises RankLost if it died or failed."""
    try:
        kind, content = pipe.recv()
    except (EOFError, OSError):
        raise RankDied(f"rank {rank} of {count} died") from None
    if kind == "failed":
        raise RankLost(f"rank {rank} of {count} failed: {content}")
    return kind, content


def _require_life(rank_of: dict[Connection, int], heard: dict[int, float], count: int, leave_by: float | None) -> None:
    now = time.monotonic()
    for rank in rank_of.values():
        if now - heard[rank] > SILENT_SECONDS:
            raise RankLost(f"rank {rank} of {count} gave no sign of life for {SILENT_SECONDS:g} s")
    if leave_by is not None and now > leave_by and rank_of:
        raise SystemExit(128 + signal.SIGTERM)


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
