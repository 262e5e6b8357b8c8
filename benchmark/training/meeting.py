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

LOOPBACK = "127.0.0.1"


class Meeting(NamedTuple):
    """Where the ranks of a trial meet, as HOST:PORT, and the address of this machine at which alone it listens."""

    address: str
    own: str


def lead(own: str, count: int) -> "tuple[TCPStore, str]":
    """A store for `count` ranks that listens at one address of this machine, and HOST:PORT of it."""
    from torch._C._distributed_c10d import TCPStore

    family = socket.AF_INET6 if ":" in own else socket.AF_INET
    listener = socket.create_server((own, 0), family=family)
    port = listener.getsockname()[1]
    store = TCPStore(own, port, count, is_master=True, wait_for_workers=False, master_listen_fd=listener.detach())
    return store, f"{own}:{port}"


def store_at(address: str, count: int) -> "TCPStore":
    """The store for `count` ranks that another process has made."""
    from torch._C._distributed_c10d import TCPStore

    host, _, port = address.rpartition(":")
    return TCPStore(host, int(port), count, is_master=False, wait_for_workers=False)


def join(store: "TCPStore", own: str, rank: int, count: int) -> str:
    """Join the other ranks, and return the kind of device.

    Nothing listens on more than the address `own`, unless the user has named a network interface.
    """
    import torch

    name_networks(own)
    has_cuda = torch.cuda.is_available()
    backend = "nccl" if has_cuda else "gloo"
    if has_cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=count)
    return "cuda" if has_cuda else "cpu"


def name_networks(own: str) -> None:
    """Let gloo and NCCL use the network of the address `own`, unless the user has named another."""
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        os.environ[name] = os.environ.get(name) or interface(own)


def interface(address: str) -> str:
    """The name of the network interface with an address. Raises InputError if this machine has none."""
    # Linux answers at all of 127.0.0.0/8, but its interface has one address
    known = LOOPBACK if address.startswith("127.") else address
    for name, ways in psutil.net_if_addrs().items():
        if any(way.address == known for way in ways):
            return name
    raise InputError(f"no network interface of {socket.gethostname()} has the address {address}, at which it was found")
