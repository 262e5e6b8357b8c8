"""How the ranks of a trial find each other when each of them may be on another machine."""

import os
import socket
import time
from typing import Any

import psutil
import ray
import torch
from torch._C._distributed_c10d import TCPStore

from lrladder.benchmark.cluster.answer import answer
from lrladder.benchmark.lab.heartbeat import beat

ASK_SECONDS = 0.2  # between two questions where to meet; assumption
START_SECONDS = 300.0  # for the first rank to say where; as `training.launch`


def join(mailbox: Any, attempt: int, rank: int, count: int) -> str:
    """Join the other ranks, and return the kind of device. Nothing listens on more than this machine's Ray address.

    Raises TimeoutError if the first rank does not come.
    """
    own = ray.util.get_node_ip_address()
    os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = _interface(own)
    has_cuda = torch.cuda.is_available()
    store = _lead(mailbox, attempt, own, count) if rank == 0 else _follow(mailbox, attempt, count)
    backend = "nccl" if has_cuda else "gloo"
    torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=count)
    return "cuda" if has_cuda else "cpu"


def _lead(mailbox: Any, attempt: int, own: str, count: int) -> TCPStore:
    listener = socket.create_server((own, 0))
    port = listener.getsockname()[1]
    store = TCPStore(own, port, count, is_master=True, wait_for_workers=False, master_listen_fd=listener.detach())
    answer(mailbox.meet.remote(attempt, f"{own}:{port}"))
    return store


def _follow(mailbox: Any, attempt: int, count: int) -> TCPStore:
    until = time.monotonic() + START_SECONDS
    while (address := answer(mailbox.meet.remote(attempt))) is None:
        beat()
        if time.monotonic() > until:
            raise TimeoutError(f"the first rank had not started after {START_SECONDS:g} s")
        time.sleep(ASK_SECONDS)
    host, _, port = address.rpartition(":")
    return TCPStore(host, int(port), count, is_master=False, wait_for_workers=False)


def _interface(address: str) -> str:
    """The name of the network interface with an address."""
    found = (name for name, ways in psutil.net_if_addrs().items() if any(way.address == address for way in ways))
    return next(found)
