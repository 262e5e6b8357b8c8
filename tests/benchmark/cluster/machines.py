"""A Ray cluster of two machines that are really one: each is a raylet with one core, and all listen on loopback."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LOOPBACK = "127.0.0.1"
OBJECT_BYTES = 100_000_000  # of each machine; few objects are sent


class TwoMachines:
    """The cluster. `address` is what a study gives; `add` and `remove` change the second machine."""

    def __init__(self) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        from ray.cluster_utils import Cluster

        self._options = {"num_cpus": 1, "node_ip_address": LOOPBACK, "object_store_memory": OBJECT_BYTES}
        self._cluster: Any = Cluster(True, head_node_args={**self._options, "include_dashboard": False})
        self.address = str(self._cluster.address)
        self._second: Any = None
        self.add()

    def add(self) -> None:
        """Start the second machine, unless it is there."""
        if self._second is None:
            self._second = self._cluster.add_node(**self._options)

    def remove(self) -> str:
        """End the second machine as a power cut does. Returns its id."""
        name = str(self._second.node_id)
        self._cluster.remove_node(self._second, allow_graceful=False)
        self._second = None
        return name

    def close(self) -> None:
        """End all machines."""
        self._cluster.shutdown()


@contextmanager
def two_machines() -> Iterator[TwoMachines]:
    """The cluster, while the context is open."""
    made = TwoMachines()
    try:
        yield made
    finally:
        made.close()
