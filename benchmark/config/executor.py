"""What trains the trials that are trained here: this machine, the hosts of a hostfile, or a Ray cluster.

It changes no number.
"""

from typing import Annotated, Literal

from pydantic import Field

from lrladder.benchmark.config.strict import Strict


class LocalConfig(Strict):
    """Processes of this machine."""

    kind: Literal["local"] = "local"
    """The trials train in processes of this machine."""

    @property
    def sees_out(self) -> bool:
        """Whether what trains is known to see the folder of the study."""
        return True


class HostsConfig(Strict):
    """Hosts of a hostfile, which this machine reaches by ssh."""

    kind: Literal["hosts"] = "hosts"
    """The trials train on the hosts of a hostfile."""
    hostfile: str = Field(min_length=1)
    """The path of a file with a line `HOST slots=N` for each host, as DeepSpeed reads it."""

    @property
    def sees_out(self) -> bool:
        """Whether what trains is known to see the folder of the study: that is checked."""
        return True


class RayConfig(Strict):
    """A Ray cluster."""

    kind: Literal["ray"] = "ray"
    """The trials train on a Ray cluster."""
    address: str = Field("auto", min_length=1)
    """HOST:PORT, `auto` (the cluster that runs on this machine) or `local` (start one)."""
    listen: Literal["loopback", "network"] = "loopback"
    """Where the coordinator listens. Whoever reaches the ports of Ray can run programs there."""
    checkpoints: str | None = Field(None, min_length=1)
    """A folder or fsspec URL that all machines see. null: the folder trunks of OUT."""

    @property
    def sees_out(self) -> bool:
        """Whether what trains is known to see the folder of the study: if it has the checkpoints, that is checked."""
        return self.checkpoints is None


ExecutorConfig = Annotated[LocalConfig | HostsConfig | RayConfig, Field(discriminator="kind")]
LOCAL = LocalConfig()
