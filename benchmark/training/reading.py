"""The result of a run at one horizon: its validation loss, or why it diverged."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict


class Reading(BaseModel):
    """The result at one horizon. `loss` is the validation loss in nats per token, None if the run diverged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: Literal["finished", "diverged"]
    loss: float | None = None
    loss_se: float | None = None  # nats per token; standard error over validation documents
    metrics: Mapping[str, float]  # by name; docs/stability.md has the units
    message: str = ""  # why it diverged
