"""The ladder: model sizes shared by all paradigms, with their horizons and batch."""

from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from lrladder.benchmark.schedules import ScheduleConfig
from lrladder.models.shape import ModelShape
from lrladder.paradigms.lab import Part


class Base(BaseModel):
    """The model, batch and horizon that muTransfer transfers the LR from: its proxy at its longest horizon."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)  # built at first use

    shape: ModelShape
    """The sizes of the model."""
    batch_tokens: int
    """Batch in tokens."""
    tokens: int
    """Horizon in tokens."""


class Rung(NamedTuple):
    """One model size of the ladder, with its batch and horizons in tokens.

    `part` is proxy, target or goal. Paradigms may search only on proxies. Targets are held out for scoring. Goals are
    not trained at all. `continued` are horizons beyond the longest of `horizons`: a run to that one continues to them,
    at the LR that was chosen for it.
    """

    name: str
    part: Part
    shape: ModelShape
    batch_tokens: int
    horizons: tuple[int, ...]
    weight_decay: float | None = None  # replaces that of the study
    continued: tuple[int, ...] = ()
    warmup_tokens: int | None = None  # replaces that of the study's schedules

    @property
    def read(self) -> tuple[int, ...]:
        """All horizons at which runs of this rung are read, that is, evaluated."""
        return (*self.horizons, *self.continued)

    def schedule(self, of_study: ScheduleConfig) -> ScheduleConfig:
        """The schedule of the study, but with the warm-up of this rung if it has its own."""
        if self.warmup_tokens is None:
            return of_study
        return of_study.model_copy(update={"warmup_tokens": self.warmup_tokens})

    @property
    def n_total(self) -> int:
        """Non-embedding parameters, with all experts."""
        return self.shape.n_total

    @property
    def n_active(self) -> int:
        """Non-embedding parameters that one token uses."""
        return self.shape.n_active

    @property
    def flops_per_token(self) -> int:
        """FLOPs of training on one token."""
        return self.shape.flops_per_token


class Ladder(tuple[Rung, ...]):
    """The rungs in the order of the config."""

    @property
    def proxies(self) -> tuple[Rung, ...]:
        return tuple(rung for rung in self if rung.part == "proxy")

    @property
    def targets(self) -> tuple[Rung, ...]:
        return tuple(rung for rung in self if rung.part == "target")

    @property
    def goals(self) -> tuple[Rung, ...]:
        return tuple(rung for rung in self if rung.part == "goal")

    def rung(self, name: str) -> Rung:
        """The rung with this name. Raises StopIteration if there is none."""
        return next(rung for rung in self if rung.name == name)
