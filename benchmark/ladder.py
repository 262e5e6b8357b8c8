"""The ladder: model sizes shared by all paradigms, with their horizons and batch."""

from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from lrladder.benchmark.schedules import ScheduleConfig
from lrladder.models.shape import ModelShape
from lrladder.paradigms.lab import Part


class Base(BaseModel):
    """The model, batch and horizon that muTransfer transfers the LR from: its proxy at its longest horizon."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: ModelShape
    batch_tokens: int
    tokens: int


class Rung(NamedTuple):
    """One model size. Paradigms may search on a rung whose `part` is proxy; targets are held out; no goal is trained.

    `continued`: longer horizons. Runs to the longest of `horizons` continue to them at the LR chosen for that one.
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
        """All horizons at which runs are evaluated."""
        return (*self.horizons, *self.continued)

    def schedule(self, of_study: ScheduleConfig) -> ScheduleConfig:
        """The study's, with the rung's own warm-up."""
        if self.warmup_tokens is None:
            return of_study
        return of_study.model_copy(update={"warmup_tokens": self.warmup_tokens})

    @property
    def n_total(self) -> int:
        return self.shape.n_total

    @property
    def n_active(self) -> int:
        return self.shape.n_active

    @property
    def flops_per_token(self) -> int:
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
        return next(rung for rung in self if rung.name == name)
