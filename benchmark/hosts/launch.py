"""Trains one trial on slots of several hosts: a program on each starts its ranks, and all of them end together."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import Any

from lrladder.benchmark.hosts.link import TRIES, Link
from lrladder.benchmark.hosts.node import Share
from lrladder.benchmark.lab.executor import Log
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.workers import SHARED
from lrladder.benchmark.training.meeting import LOOPBACK, Meeting
from lrladder.benchmark.training.members import Member, RankDied, RankLost, watch
from lrladder.benchmark.training.rank import SIGN_SECONDS
from lrladder.benchmark.training.shared import ALONE, Sharing
from lrladder.benchmark.training.worker import Trainer, WorkerSetup


def start_launcher(setup: WorkerSetup, room_bytes: int | None) -> Trainer:
    """Start a worker that trains nothing itself. Returns the function that has a trial trained on the slots held."""
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())

    def run(trial: Trial, log: Log, sharing: Sharing = ALONE) -> list[TrialMeasurement]:
        assert sharing == ALONE, "hosts share a folder"
        slots = os.environ[SHARED].split(",")
        return train_on_hosts(trial, setup, room_bytes, slots, log=log, is_told_to_end=told.is_set)

    return run


def train_on_hosts(
    trial: Trial,
    setup: WorkerSetup,
    room_bytes: int | None,
    slots: Sequence[str],
    *,
    log: Log,
    is_told_to_end: Callable[[], bool] = lambda: False,
) -> list[TrialMeasurement]:
    """Train a trial on slots such as `node1:0`, and return what the first rank measured.

    Raises RankLost, and SystemExit if told to end. No rank outlives this call, unless the network breaks; then ranks
    end within node.ALONE_SECONDS.
    """
    held = by_host(slots)
    try:
        with linked(held, tries=TRIES) as links:
            for link, share in zip(links, _shares(trial, setup, room_bytes, held, links), strict=True):
                link.send("train", share)
            members = [Member(str(link), link.pipe) for link in links]
            return watch(members, log, is_told_to_end, lambda: _tell(links, "end"))
    except RankDied as error:
        raise RankLost(f"{error}; see logs/") from None


def by_host(slots: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The numbers of the slots by host, in the order of the slots."""
    found: dict[str, tuple[str, ...]] = {}
    for slot in slots:
        host, _, number = slot.rpartition(":")
        found[host] = (*found.get(host, ()), number)
    return found


def _shares(
    trial: Trial,
    setup: WorkerSetup,
    room_bytes: int | None,
    held: dict[str, tuple[str, ...]],
    links: Sequence[Link],
) -> Iterator[Share]:
    own = addresses(links)
    address = links[0].ask("lead", (own[0], trial.training.devices))
    first = 0
    for place, numbers in zip(own, held.values(), strict=True):
        yield Share(trial, setup, room_bytes, first, numbers, Meeting(address, place))
        first += len(numbers)


@contextmanager
def linked(
    hosts: Sequence[str] | dict[str, Any], errors: Sequence[Any] = (), *, tries: int = 1
) -> Iterator[list[Link]]:
    """Lines to hosts, which are told all the time that this process lives. At the end no program is left on them.

    A connection that ends at once is begun `tries` times.
    """
    links: list[Link] = []
    ended = threading.Event()
    try:
        for number, host in enumerate(hosts):
            links.append(Link(host, errors[number] if errors else None))
        threading.Thread(target=_give_signs_of_life, args=(links, ended), daemon=True).start()
        for link in links:
            link.greeted(tries)
        yield links
    finally:
        ended.set()
        for link in links:
            link.hang_up()
        for link in links:
            link.gone()


def _give_signs_of_life(links: Sequence[Link], ended: threading.Event) -> None:
    while not ended.wait(SIGN_SECONDS):
        _tell(links, "alive")


def _tell(links: Sequence[Link], kind: str) -> None:
    for link in links:
        with suppress(RankDied):  # who watches notices it too
            link.send(kind)


def addresses(links: Sequence[Link]) -> list[str]:
    """The address of each host at which the others reach it: the one that ssh used.

    Raises RankLost if ssh has not said it, or if others cannot use it.
    """
    called: dict[str, list[str]] = {link.host: link.ask("called") for link in links if not link.is_here}
    for host, words in called.items():
        if len(words) != 4:  # client, its port, server, its port: ssh(1)
            raise RankLost(
                f"host {host} has no SSH_CONNECTION, which says at which address it was reached; use OpenSSH"
            )
    here = next((words[0] for words in called.values()), LOOPBACK)
    found = [here if link.is_here else called[link.host][2] for link in links]
    inside = [ip_address(address.partition("%")[0]).is_loopback for address in found]
    if any(inside) and not all(inside):
        link, address = next((link, address) for link, address, own in zip(links, found, inside, strict=True) if own)
        raise RankLost(
            f"{link} was reached at {address}, where other machines cannot reach it; write {socket.gethostname()} if "
            "it is this machine, or an address of its network"
        )
    return found
