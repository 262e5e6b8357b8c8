"""The line to one host of a hostfile. Its program `node` is started through ssh; on this machine, without it.

Everything goes through stdin and stdout of that program. So no port is opened, ssh encrypts, and when this process or
the network ends, so does the line.
"""

import os
import random
import shlex
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import IO, Any

from lrladder.benchmark.lab.heartbeat import beat
from lrladder.benchmark.lab.workers import SHARED
from lrladder.benchmark.training.members import LOOK_SECONDS, SILENT_SECONDS, RankDied, RankLost

MARK = b"\0lrladder\0"  # begins what the program says; before it, a shell may greet
GREETING_BYTES = 2**16  # most of a greeting; assumption
START_SECONDS = 120.0  # for the program to say something; assumption: a busy file system is slow
# Of connections that begin at the same time, sshd drops some (MaxStartups). A trial then tries again.
TRIES = 6  # assumption
QUICK_SECONDS = 5.0  # a connection that lasted longer was not dropped at its begin; assumption
PAUSE_SECONDS = 2.0  # mean time between two tries, random so that not all begin together again; assumption
CLOSE_SECONDS = 10.0  # for the program to end its ranks and itself; assumption
# ssh asks nothing, and gives up after 15 s without an answer
OPTIONS = ("BatchMode=yes", "ConnectTimeout=20", "ServerAliveInterval=5", "ServerAliveCountMax=3")
SSH = ["ssh", "-T", *(word for option in OPTIONS for word in ("-o", option))]
PROGRAM = ("-P", "-m", "lrladder.benchmark.hosts.node")  # -P: no code from the working directory
PASSED_ON = ("PYTHON", "LRLADDER_", "NCCL_", "UCX_", "GLOO_")  # variables that a host gets, by the beginning of a name
NOT_OURS = ("SSH_CONNECTION", "CUDA_VISIBLE_DEVICES", SHARED)  # of the process that starts the program


def is_here(host: str) -> bool:
    """Whether a host of a hostfile is this machine, by its name alone."""
    own = socket.gethostname()
    return host in ("localhost", "127.0.0.1", own) or ("." in own and host == own.partition(".")[0])


def command(host: str) -> list[str]:
    """What starts the program on a host, with the same Python as here."""
    if is_here(host):
        return [sys.executable, *PROGRAM]
    given = {name: os.environ[name] for name in sorted(os.environ) if name.startswith(PASSED_ON)}
    if "PYTHONPATH" in given:
        given["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, given["PYTHONPATH"].split(os.pathsep)))
    variables = (f"{name}={value}" for name, value in given.items() if name not in NOT_OURS)
    return [*SSH, host, "exec " + shlex.join(["env", *variables, sys.executable, *PROGRAM])]


class Link:
    """A host with its program. Several threads may send. `errors` takes what the program and ssh say on stderr."""

    def __init__(self, host: str, errors: IO[bytes] | None = None) -> None:
        self.host, self.is_here, self._errors = host, is_here(host), errors
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        own = {name: value for name, value in os.environ.items() if name not in NOT_OURS}
        # a session of its own, so that Ctrl-C does not end it before its ranks have saved their run
        self._process = subprocess.Popen(
            command(self.host),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
            env=own,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._process.stdin as theirs, self._process.stdout as ours:
            self._to = Connection(os.dup(theirs.fileno()), readable=False)
            self.pipe = Connection(os.dup(ours.fileno()), writable=False)

    def __str__(self) -> str:
        return f"host {self.host}"

    def greeted(self, tries: int = 1) -> None:
        """Wait until the program has begun. A connection that ends at once is tried again.

        Raises RankDied or RankLost if the program does not begin.
        """
        for left in reversed(range(tries)):
            began = time.monotonic()
            try:
                self._greeted()
                break
            except RankDied:
                if not left or self.is_here or time.monotonic() - began > QUICK_SECONDS:
                    raise
            time.sleep(random.uniform(0, 2 * PAUSE_SECONDS))
            with self._lock:
                self.hang_up()
                self.gone()
                self._begin()

    def _greeted(self) -> None:
        said, until = b"", time.monotonic() + START_SECONDS
        while not said.endswith(MARK):
            beat()
            if time.monotonic() > until or len(said) > GREETING_BYTES:
                raise RankLost(f"{self} did not start LR Ladder within {START_SECONDS:g} s")
            if wait([self.pipe], LOOK_SECONDS):
                byte = os.read(self.pipe.fileno(), 1)
                if not byte:
                    raise RankDied(f"{self} did not start LR Ladder; `ssh {self.host} true` must work without a word")
                said += byte

    def send(self, kind: str, content: Any = None) -> None:
        """Send an order; `node` knows the kinds. Raises RankDied if the program is gone."""
        try:
            with self._lock:
                self._to.send((kind, content))
        except OSError:
            raise RankDied(f"{self} died") from None

    def ask(self, kind: str, content: Any = None) -> Any:
        """The answer to an order. Raises RankDied or RankLost if it does not come."""
        self.send(kind, content)
        heard = time.monotonic()
        while time.monotonic() - heard < SILENT_SECONDS:
            beat()
            if not self.pipe.poll(LOOK_SECONDS):
                continue
            try:
                said, found = self.pipe.recv()
            except (EOFError, OSError):
                raise RankDied(f"{self} died") from None
            heard = time.monotonic()
            if said == "answer":
                return found
            if said == "failed":
                raise RankLost(f"{self} failed: {found}")
        raise RankLost(f"{self} gave no sign of life for {SILENT_SECONDS:g} s")

    def hang_up(self) -> None:
        """Close the line, at which the program kills its ranks and ends."""
        self._to.close()

    def gone(self) -> None:
        """Wait until the program has ended; end ssh if that takes too long."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(CLOSE_SECONDS)
        self._process.kill()
        self._process.wait()
        self.pipe.close()
