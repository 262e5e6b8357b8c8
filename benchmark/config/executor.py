"""What trains the trials that are trained here: the processes of this machine, or a Ray cluster. Changes no number."""

from typing import Annotated, Literal

from pydantic import Field

from lrladder.benchmark.config.strict import Strict


class LocalConfig(Strict):
    """Processes of this machine."""

    kind: Literal["local"] = "local"


class RayConfig(Strict):
    """A Ray cluster. `address` is HOST:PORT, `auto` (the cluster that runs on this machine) or `local` (start one)."""

    kind: Literal["ray"] = "ray"
    address: str = Field("auto", min_length=1)
    listen: Literal["loopback", "network"] = "loopback"  # whoever reaches the ports of Ray can run programs there
    checkpoints: str | None = Field(None, min_length=1)  # a folder or fsspec URL for all nodes; None: OUT/trunks


ExecutorConfig = Annotated[LocalConfig | RayConfig, Field(discriminator="kind")]
LOCAL = LocalConfig()
