"""What hosts offer together, and how their programs are started, without starting any."""

import os
import shlex
import socket
import sys
from typing import Any

import psutil
import pytest

from lrladder.benchmark.config.executor import HostsConfig
from lrladder.benchmark.config.hostfile import Host
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.hosts.launch import addresses
from lrladder.benchmark.hosts.link import command, is_here
from lrladder.benchmark.hosts.site import _fit, machines
from lrladder.benchmark.training.meeting import LOOPBACK, interface, lead, name_networks, store_at
from lrladder.benchmark.training.members import RankLost
from lrladder.benchmark.training.seen import Seen, software
from tests.benchmark.trials import tiny_trial

GIB = 2**30
CONFIG = HostsConfig(hostfile="hosts")
HOSTS = (Host("node1", 2), Host("node2", 1))


def _seen(gpus: int = 0, gib: int = 80, own: str | None = None) -> Seen:
    return Seen("node", own or software(), ("H100",) * gpus, gib * GIB if gpus else None, None)


def test_hosts_without_gpus_offer_a_worker_for_each_slot() -> None:
    found = machines(CONFIG, HOSTS, [_seen(), _seen()], None)
    assert (found.workers, found.devices, found.gpus, found.gpu_bytes) == (3, 3, (), None)
    assert machines(CONFIG, HOSTS, [_seen(), _seen()], 2).workers == 2
    assert not _fit([tiny_trial(), tiny_trial()], room_bytes=None)  # a core has one trial


def test_hosts_with_gpus_offer_their_slots_and_the_memory_of_the_smallest() -> None:
    found = machines(CONFIG, HOSTS, [_seen(4), _seen(1, gib=40)], None)
    assert (found.devices, len(found.gpus), found.gpu_bytes) == (3, 3, 40 * GIB)
    assert found.workers == 12 and _fit([tiny_trial(), tiny_trial()], room_bytes=40 * GIB)


@pytest.mark.parametrize(
    ("seen", "message"),
    [
        (
            [_seen(), _seen(own="torch 1.0")],
            "hostfile hosts: node2 has torch 1.0, but this machine has .*; install the",
        ),
        ([_seen(1), _seen(1)], "hostfile hosts: node1 has slots=2, but 1 GPUs; lower its slots, or remove the host"),
        ([_seen(2), _seen()], "hostfile hosts: node2 has slots=1, but 0 GPUs"),
    ],
)
def test_hosts_that_do_not_fit_are_one_line(seen: list[Seen], message: str) -> None:
    with pytest.raises(InputError, match=message):
        machines(CONFIG, HOSTS, seen, None)


def test_another_host_gets_the_command_by_ssh_and_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"NCCL_DEBUG": "a b", "WANDB_API_KEY": "secret", "LRLADDER_DEVICES": "node1:0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", "relative")
    ssh, *options, host, there = command("user@node1")
    words = shlex.split(there)
    assert ssh == "ssh" and "BatchMode=yes" in options and host == "user@node1"
    assert words[:2] == ["exec", "env"] and "NCCL_DEBUG=a b" in words and sys.executable in words
    assert not [word for word in words if word.startswith(("WANDB", "LRLADDER_DEVICES", "PYTHONPATH=relative"))]


def test_this_machine_needs_no_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "node1.cluster")
    assert all(map(is_here, ("localhost", "127.0.0.1", "node1", "node1.cluster")))
    assert not any(map(is_here, ("node2", "node1.other", "user@node1")))
    assert command("node1")[0] == sys.executable


class _Link:
    """A host that was reached as ssh says."""

    def __init__(self, host: str, said: str | None) -> None:
        self.host, self.is_here, self._said = host, said is None, said

    def __str__(self) -> str:
        return f"host {self.host}"

    def ask(self, kind: str) -> list[str]:
        assert kind == "called" and self._said is not None
        return self._said.split()


def test_hosts_listen_at_the_addresses_that_ssh_used() -> None:
    here: Any = _Link("localhost", None)
    there: Any = [_Link(f"node{n}", f"10.0.0.1 5{n} 10.0.0.{n} 22") for n in (2, 3)]
    assert addresses([here, *there]) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert addresses([here]) == [LOOPBACK]
    silent: Any = _Link("node4", "")
    with pytest.raises(RankLost, match="host node4 has no SSH_CONNECTION"):
        addresses([silent])


def test_a_host_that_was_reached_where_others_cannot_reach_it_is_named() -> None:
    """Debian gives a machine the address 127.0.1.1 under its full name."""
    inside: Any = _Link("node1.cluster", "127.0.0.1 51 127.0.1.1 22")
    outside: Any = _Link("node2", "10.0.0.1 52 10.0.0.2 22")
    assert addresses([inside]) == ["127.0.1.1"]
    with pytest.raises(RankLost, match=r"host node1.cluster was reached at 127\.0\.1\.1, where other machines cannot"):
        addresses([outside, inside])


@pytest.mark.parametrize("own", ["127.0.0.1", "127.0.0.2", "::1"])
def test_ranks_meet_at_any_address_of_this_machine(own: str) -> None:
    if own not in ("127.0.0.2", *(way.address for ways in psutil.net_if_addrs().values() for way in ways)):
        pytest.skip(f"this machine has no {own}")
    store, address = lead(own, 1)
    store.set("key", "value")
    assert store_at(address, 1).get("key") == b"value" and interface(own) == "lo"


def test_a_network_that_the_user_names_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "ib0")
    monkeypatch.setenv("NCCL_SOCKET_IFNAME", "")
    name_networks(LOOPBACK)
    assert (os.environ["GLOO_SOCKET_IFNAME"], os.environ["NCCL_SOCKET_IFNAME"]) == ("ib0", "lo")
