"""What a run gave at one horizon: its validation, or why it diverged."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict


class Reading(BaseModel):
    """The end of one horizon. `loss` is validation loss in nats per token; None where the run diverged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: Literal["finished", "diverged"]
    loss: float | None = None
    loss_se: float | None = None  # nats per token, over validation documents
    metrics: Mapping[str, float]  # what was watched, by name: docs/stability.md has the units
    message: str = ""  # why it diverged
