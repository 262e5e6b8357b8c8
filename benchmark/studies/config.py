"""The part of a config that all kinds of study share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, field_validator

from lrladder.benchmark.config.parts import CorpusConfig, OptimizerConfig, RecipeConfig, Strict
from lrladder.benchmark.config.text import config_digest
from lrladder.benchmark.ladder import Base, Ladder, Rung
from lrladder.benchmark.schedules import ScheduleConfig
from lrladder.models.rules import Rules
from lrladder.paradigms.lab import ParametrizationName


class StudyConfig(Strict, ABC):
    """The config of a study, as the user writes it; a `benchmark.lab.resolve.Setup`. Each kind adds what it varies."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    corpus: CorpusConfig = CorpusConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    recipe: RecipeConfig = RecipeConfig()
    schedule: ScheduleConfig
    expert_backend: Literal["reference", "grouped", "megablocks"] = "grouped"

    @field_validator("schedule")
    @classmethod
    def _decays(cls, schedule: ScheduleConfig) -> ScheduleConfig:
        if schedule.read != "decay":
            raise ValueError("read: what is scored is read after its decay; give read to an entry, for its search")
        return schedule

    @property
    @abstractmethod
    def base(self) -> Base:
        """The model, batch and horizon that the ratios in the rules refer to."""

    @property
    @abstractmethod
    def rungs(self) -> Ladder: ...

    @abstractmethod
    def rules_of(self, parametrization: ParametrizationName) -> Rules: ...

    def base_of(self, rung: Rung, parametrization: ParametrizationName) -> Base:
        return self.base

    def schedule_of(self, parametrization: ParametrizationName) -> ScheduleConfig:
        return self.schedule

    def optimizer_of(self, parametrization: ParametrizationName) -> OptimizerConfig:
        return self.optimizer

    def recipe_of(self, parametrization: ParametrizationName) -> RecipeConfig:
        return self.recipe

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("rungs", None)  # a property that each kind keeps, as making it takes time
        return copied

    @property
    def digest(self) -> str:
        """Hash of the resolved config without the name of the study."""
        return config_digest(self)

    @property
    def longest_horizon(self) -> int:
        """The longest horizon of all rungs that are trained, in tokens."""
        return max(max(rung.read) for rung in self.rungs if rung.part != "goal")
