"""The program of one rank: `python -m lrladder.benchmark.training.rank FOLDER PARENT`, started by `launch`."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

from lrladder.benchmark.environment import die_with, keep_freed_memory
from lrladder.benchmark.errors import one_line
from lrladder.benchmark.lab import heartbeat
from lrladder.benchmark.lab.executor import Log
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.training.launch import Job
from lrladder.benchmark.training.meeting import Meeting, join, store_at
from lrladder.benchmark.training.members import RankLost

SIGN_SECONDS = 2.0  # between two signs of life; assumption: a tenth of members.SILENT_SECONDS


class Line:
    """The connection to the process that started this rank. Several threads may send."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._lock = pipe, threading.Lock()
        self._ended = threading.Event()
        self._steps = ctypes.c_uint64(0)  # raised by training
        heartbeat.use(self._steps)

    def send(self, kind: str, content: Any = None) -> None:
        """Send a message; `members` knows the kinds alive, row, measured, left and failed."""
        with self._lock:
            self._pipe.send((kind, content))

    def give_signs_of_life(self) -> None:
        """Start a thread that sends signs of life until `close` is called."""
        threading.Thread(target=self._signs, daemon=True).start()

    def _signs(self) -> None:
        """Each sign says whether training has moved since the last one, because a living process can hang."""
        seen = 0
        while not self._ended.wait(SIGN_SECONDS):
            now = self._steps.value
            self.send("alive", now != seen)
            seen = now

    def carry_out(self, train: Callable[[], list[TrialMeasurement] | None]) -> None:
        """Train, and send what was measured, or how training ended. A fault is sent as one line, and raised."""
        try:
            self.send("measured", train())
        except SystemExit:
            self.send("left")
        except Exception as error:
            self.send("failed", str(error) if isinstance(error, RankLost) else one_line(error))
            raise

    def close(self) -> None:
        """End the signs of life."""
        self._ended.set()


def main(folder: Path, parent: int) -> None:
    """Train this rank's share of the trial. A fault is sent as one line, and raised for the log."""
    _settle(parent)
    rank = int(os.environ["RANK"])
    with Client(str(folder / "socket"), "AF_UNIX") as pipe:
        pipe.send(rank)
        job: Job
        meeting: Meeting | None
        job, meeting = pipe.recv()
        line = Line(pipe)
        line.give_signs_of_life()
        log = (lambda row: line.send("row", row)) if rank == 0 else (lambda row: None)

        def train() -> list[TrialMeasurement] | None:
            if meeting is not None:
                count = int(os.environ["WORLD_SIZE"])
                join(store_at(meeting.address, count), meeting.own, rank, count)
            found = train_share(job, None if meeting else f"file://{folder / 'ranks'}", log)
            return found if rank == 0 else None

        try:
            line.carry_out(train)
        finally:
            line.close()


def train_share(job: Job, meeting: str | None, log: Log) -> list[TrialMeasurement]:
    """Import the training code, join the other ranks and train. `meeting` None: this process has joined them."""
    import torch

    from lrladder.benchmark.training.checkpoints import STOP
    from lrladder.benchmark.training.corpus import load
    from lrladder.benchmark.training.optimizer import start_deepspeed
    from lrladder.benchmark.training.train import train

    signal.signal(signal.SIGTERM, lambda *_: STOP.set())
    torch.set_num_threads(1)
    start_deepspeed(meeting)
    corpus = load(job.corpus, job.trial.shape.seq_len, job.val_documents)
    return train(
        job.trial,
        corpus,
        log=log,
        trunks=job.trunks,
        keep=job.keep,
        weights=job.weights,
        micro_batch=job.micro_batch,
        compiled=_compiles(job),
        sharing=job.sharing,
    )


def _compiles(job: Job) -> bool:
    if job.compile_cache is None:
        return False
    import torch

    from lrladder.benchmark.training import compiling

    return compiling.prepare(job.compile_cache, "cuda" if torch.cuda.is_available() else "cpu")


def _settle(parent: int) -> None:
    """Ignore Ctrl-C, which the worker answers, and die with the worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # until training can save itself; the worker kills what is left
    die_with(parent)
    keep_freed_memory()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
