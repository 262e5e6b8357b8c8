"""The connection to a Ray cluster. Ray asks nobody who they are, so by default nothing listens beyond this machine."""

import ipaddress
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray._private import ray_constants
from ray._private.services import canonicalize_bootstrap_address

from lrladder.benchmark.config.executor import RayConfig
from lrladder.benchmark.errors import InputError

LOOPBACK = "127.0.0.1"  # with 127.0.0.2 Ray's servers listen on every address
OBJECT_BYTES = 100_000_000  # memory for objects of a cluster that we start; only rows of logs go through it; assumption


@contextmanager
def connected(config: RayConfig) -> Iterator[None]:
    """Connect to the cluster, or start one on this machine. Raises InputError if that cannot be done."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # a cluster that we start would report its use to the makers of Ray
    # If true, ray.init turns 127.0.0.1 into an outer address
    ray_constants.ENABLE_RAY_CLUSTER = config.listen == "network"
    options = _own_cluster(config) if config.address == "local" else {"address": _address(config)}
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"executor.address {config.address}: no Ray cluster answers ({' '.join(str(error).split())[:200]}); start "
            "one (docs/cluster.md), or give address: local"
        ) from error
    signal.signal(signal.SIGTERM, handler)  # ray.init has replaced it
    try:
        if config.listen == "loopback":
            for node in ray.nodes():
                _require_loopback(node["NodeManagerAddress"])
        yield
    finally:
        ray.shutdown()


def _own_cluster(config: RayConfig) -> dict[str, Any]:
    """Options that start a cluster of this machine alone."""
    here = {"_node_ip_address": LOOPBACK} if config.listen == "loopback" else {}
    return {"address": "local", "include_dashboard": False, "object_store_memory": OBJECT_BYTES, **here}


def _address(config: RayConfig) -> str:
    """HOST:PORT of the running cluster."""
    if "://" in config.address:
        raise InputError(
            f"executor.address {config.address}: LR Ladder has to run on a machine of the cluster; run it there, and "
            "give HOST:PORT or auto"
        )
    try:
        found = canonicalize_bootstrap_address(config.address)
    except ValueError as error:
        raise InputError(f"executor.address {config.address}: give HOST:PORT, auto or local ({error})") from error
    if found is None:
        raise InputError(
            "executor.address auto: no Ray cluster runs on this machine; start one with `ray start` (docs/cluster.md), "
            "or give address: local"
        )
    if config.listen == "loopback":
        _require_loopback(found.rpartition(":")[0])
    return str(found)


def _require_loopback(host: str) -> None:
    """Raises InputError if a cluster at this address can be reached from other machines."""
    try:
        inside = ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        inside = host == "localhost"
    if not inside:
        raise InputError(
            f"executor.listen: the Ray cluster at {host} listens on the network, and whoever reaches its ports can run "
            "programs on it; if only people you trust can, set listen: network (docs/cluster.md)"
        )
