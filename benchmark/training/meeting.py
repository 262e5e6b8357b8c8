"""How the ranks of a trial find each other when each of them may be on another machine: at a TCP store of torch.

torch is imported when it is needed, because the coordinator knows of meetings too.
"""

import os
import socket
from typing import TYPE_CHECKING, NamedTuple

import psutil

from lrladder.benchmark.errors import InputError

if TYPE_CHECKING:
    from torch._C._distributed_c10d import TCPStore


class Meeting(NamedTuple):
    """Where the ranks of a trial meet, as HOST:PORT, and the address of this machine at which alone it listens."""

    address: str
    own: str


def lead(own: str, count: int) -> "tuple[TCPStore, str]":
    """A store for `count` ranks that listens at one address of this machine, and HOST:PORT of it."""
    from torch._C._distributed_c10d import TCPStore

    listener = socket.create_server((own, 0))
    port = listener.getsockname()[1]
    store = TCPStore(own, port, count, is_master=True, wait_for_workers=False, master_listen_fd=listener.detach())
    return store, f"{own}:{port}"


def store_at(address: str, count: int) -> "TCPStore":
    """The store for `count` ranks that another process has made."""
    from torch._C._distributed_c10d import TCPStore

    host, _, port = address.rpartition(":")
    return TCPStore(host, int(port), count, is_master=False, wait_for_workers=False)


def join(store: "TCPStore", own: str, rank: int, count: int) -> str:
    """Join the other ranks, and return the kind of device. Nothing listens on more than the address `own`."""
    import torch

    os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = interface(own)
    has_cuda = torch.cuda.is_available()
    backend = "nccl" if has_cuda else "gloo"
    if has_cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=count)
    return "cuda" if has_cuda else "cpu"


def interface(address: str) -> str:
    """The name of the network interface with an address. Raises InputError if this machine has none."""
    for name, ways in psutil.net_if_addrs().items():
        if any(way.address == address for way in ways):
            return name
    raise InputError(f"no network interface of {socket.gethostname()} has the address {address}, at which it was found")
