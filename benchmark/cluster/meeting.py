"""How the ranks of a trial on a cluster learn from the mailbox where to meet."""

import time
from typing import Any

import ray
from torch._C._distributed_c10d import TCPStore

from lrladder.benchmark.cluster.answer import answer
from lrladder.benchmark.lab.heartbeat import beat
from lrladder.benchmark.training import meeting

ASK_SECONDS = 0.2  # between two questions where to meet; assumption
START_SECONDS = 300.0  # for the first rank to say where; as `training.launch`


def join(mailbox: Any, attempt: int, rank: int, count: int) -> str:
    """Join the other ranks, and return the kind of device. Nothing listens on more than this machine's Ray address.

    Raises TimeoutError if the first rank does not come.
    """
    own = ray.util.get_node_ip_address()
    store = _lead(mailbox, attempt, own, count) if rank == 0 else _follow(mailbox, attempt, count)
    return meeting.join(store, own, rank, count)


def _lead(mailbox: Any, attempt: int, own: str, count: int) -> TCPStore:
    store, address = meeting.lead(own, count)
    answer(mailbox.meet.remote(attempt, address))
    return store


def _follow(mailbox: Any, attempt: int, count: int) -> TCPStore:
    until = time.monotonic() + START_SECONDS
    while (address := answer(mailbox.meet.remote(attempt))) is None:
        beat()
        if time.monotonic() > until:
            raise TimeoutError(f"the first rank had not started after {START_SECONDS:g} s")
        time.sleep(ASK_SECONDS)
    return meeting.store_at(address, count)
