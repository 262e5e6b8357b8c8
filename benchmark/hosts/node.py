"""The program of one host: `python -m lrladder.benchmark.hosts.node`, which `link` starts there.

It takes orders on stdin and answers on stdout. When stdin closes or nobody gives a sign of life, whoever started it is
gone. It then kills its ranks and ends, so no process is left on this host.
"""

import os
import signal
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

from lrladder.benchmark.environment import gpu_names, keep_freed_memory, train_alone
from lrladder.benchmark.hosts.link import MARK
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.training.launch import Part, train_on_ranks
from lrladder.benchmark.training.meeting import Meeting, lead
from lrladder.benchmark.training.rank import Line
from lrladder.benchmark.training.seen import look
from lrladder.benchmark.training.worker import WorkerSetup, job_of

# Without a sign of life from who started this; half of members.SILENT_SECONDS. So when the network breaks, the ranks
# here are dead before the trial is tried again elsewhere.
ALONE_SECONDS = 10.0
LEAVE_SECONDS = 5.0  # for the ranks to be killed; assumption


class Share(NamedTuple):
    """The part of a trial that a host trains. `slots` are the numbers of its devices."""

    trial: Trial
    setup: WorkerSetup
    room_bytes: int | None  # memory of the smallest GPU of all hosts
    first: int  # rank
    slots: tuple[str, ...]
    meeting: Meeting


class Orders:
    """What the other end of the line wants. A thread listens, so that it notices at once that nobody is there."""

    def __init__(self, pipe: Connection) -> None:
        self.told_to_end = threading.Event()
        self._pipe, self._waiting = pipe, SimpleQueue[tuple[str, Any]]()
        threading.Thread(target=self._listen, daemon=True).start()

    def next(self) -> tuple[str, Any]:
        """Wait for the next order."""
        return self._waiting.get()

    def _listen(self) -> None:
        try:
            while self._pipe.poll(ALONE_SECONDS):
                kind, content = self._pipe.recv()
                if kind == "end":
                    self.told_to_end.set()
                elif kind != "alive":
                    self._waiting.put((kind, content))
        except (EOFError, OSError):
            pass
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGINT)  # whatever it waits for
        time.sleep(LEAVE_SECONDS)
        os._exit(1)


def main() -> None:
    """Answer orders until nobody is left to give any."""
    store: Any = None  # of the first host; it must live as long as the ranks
    try:
        line, orders = _settle()
        while True:
            match orders.next():
                case "look", name:
                    line.send("answer", look(name))
                case "misses", paths:
                    line.send("answer", [path for path in paths if not Path(path).exists()])
                case "called", _:
                    line.send("answer", os.environ.get("SSH_CONNECTION", "").split())
                case "lead", (own, count):
                    store, address = lead(own, count)
                    line.send("answer", address)
                case "train", share:
                    line.carry_out(lambda share=share: _train(line, share, orders))  # type: ignore[misc]
    except KeyboardInterrupt:
        del store


def _train(line: Line, share: Share, orders: Orders) -> list[TrialMeasurement]:
    has_gpu = bool(gpu_names())
    job = job_of(share.setup, share.trial, "cuda" if has_gpu else "cpu", room_bytes=share.room_bytes)
    return train_on_ranks(
        job,
        log=lambda row: line.send("row", row),
        is_told_to_end=orders.told_to_end.is_set,
        devices=",".join(share.slots) if has_gpu else "",
        part=Part(share.first, len(share.slots), share.meeting),
    )


def _settle() -> tuple[Line, Orders]:
    """Take stdin and stdout for the line. What anything else prints goes to stderr."""
    own = [os.dup(0), os.dup(1)]
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.write(own[1], MARK)
    orders = Orders(Connection(own[0], writable=False))
    signal.signal(signal.SIGTERM, lambda *_: orders.told_to_end.set())
    keep_freed_memory()
    train_alone()
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    line = Line(Connection(own[1], readable=False))
    line.give_signs_of_life()
    return line, orders


if __name__ == "__main__":
    main()
