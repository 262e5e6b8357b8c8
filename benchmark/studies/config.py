"""The part of a config that all kinds of study share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from lrladder.benchmark.config.executor import LOCAL, ExecutorConfig
from lrladder.benchmark.config.lab import HERE, LabConfig
from lrladder.benchmark.config.parts import CorpusConfig, OptimizerConfig, RecipeConfig, Strict
from lrladder.benchmark.config.text import config_digest, suggest
from lrladder.benchmark.config.training import TrainingConfig, TrainingSettings
from lrladder.benchmark.ladder import Base, Ladder, Rung
from lrladder.benchmark.schedules import ScheduleConfig
from lrladder.models.rules import Rules
from lrladder.paradigms.lab import ParametrizationName

READ_AFTER_DECAY = (
    "read: a scored run is always read after its decay; remove read here, or give it to an entry, where it says how "
    "the search of the entry reads its runs"
)


class StudyConfig(Strict, ABC):
    """The config of a study, as the user writes it. Each kind of study adds its own keys.

    It serves as the `Setup` of `benchmark/lab/resolve.py`, which turns requests into trials.
    """

    can_be_external: ClassVar[bool] = False  # whether runs of this kind of study may be trained elsewhere

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    """Name of the study, which its pages show. No number depends on it."""
    lab: LabConfig = Field(HERE, exclude_if=lambda lab: lab == HERE)  # left out, so that digests stay as they were
    """Where runs are trained. Only a benchmark can have them trained elsewhere."""
    executor: ExecutorConfig = Field(LOCAL, exclude_if=lambda executor: executor == LOCAL)
    """What trains the runs: this machine, the hosts of a hostfile, or a Ray cluster."""
    corpus: CorpusConfig = CorpusConfig()
    """The text that the models train on, and its tokenizer."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """The settings of AdamW and of the auxiliary losses at the base."""
    recipe: RecipeConfig = RecipeConfig()
    """The LRs of single roles at the base, relative to that of the matrices."""
    training: TrainingConfig = TrainingConfig()
    """Devices, memory and micro batches of the training runs."""
    schedule: ScheduleConfig
    """How the LR of a run changes with its tokens."""
    expert_backend: Literal["reference", "grouped", "megablocks"] = "grouped"
    """What computes the experts: a loop over them, grouped matrix products of torch, or MegaBlocks."""

    @field_validator("schedule")
    @classmethod
    def _decays(cls, schedule: ScheduleConfig) -> ScheduleConfig:
        if schedule.read != "decay":
            raise ValueError(READ_AFTER_DECAY)
        return schedule

    @field_validator("lab")
    @classmethod
    def _external(cls, lab: LabConfig) -> LabConfig:
        if lab != HERE and not cls.can_be_external:
            raise ValueError("only a study of kind benchmark can have its runs trained elsewhere; remove lab")
        return lab

    @property
    @abstractmethod
    def base(self) -> Base:
        """The model, batch and horizon that the ratios in the rules refer to."""

    @property
    @abstractmethod
    def rungs(self) -> Ladder:
        """All rungs of the study."""

    @abstractmethod
    def rules_of(self, parametrization: ParametrizationName) -> Rules:
        """The rules of a parametrization."""

    @property
    def router_rules(self) -> tuple[str, ...]:
        """The keys with which the user turned on a rule of the router."""
        return ()

    def base_of(self, rung: Rung, parametrization: ParametrizationName) -> Base:
        """The base of the rules for a trial at this rung and under this parametrization."""
        return self.base

    def schedule_of(self, parametrization: ParametrizationName) -> ScheduleConfig:
        """The schedule of trials under a parametrization."""
        return self.schedule

    def optimizer_of(self, parametrization: ParametrizationName) -> OptimizerConfig:
        """The optimizer's settings at the base, for trials under a parametrization."""
        return self.optimizer

    def recipe_of(self, parametrization: ParametrizationName) -> RecipeConfig:
        """The base recipe of trials under a parametrization."""
        return self.recipe

    def training_of(self, rung: Rung) -> TrainingSettings:
        """How trials of a rung are trained."""
        return self.training.of(rung.name)

    @model_validator(mode="after")
    def _check_training(self) -> Self:
        if self.training == TrainingConfig():
            return self
        names = [rung.name for rung in self.rungs]
        for name in self.training.rungs:
            if name not in names:
                raise ValueError(f"training.rungs: there is no rung {name!r}{suggest(name, names)}")
        if self.training.keep_weights == "targets" and all(rung.part != "target" for rung in self.trained_here):
            raise ValueError(
                "training.keep_weights: this study trains no target here, so it has no weights to keep; remove it"
            )
        for rung in self.rungs:
            self._check_batch(rung, self.training_of(rung))
        return self

    def _check_batch(self, rung: Rung, training: TrainingSettings) -> None:
        sequences = rung.batch_tokens // rung.shape.seq_len
        micro = 1 if training.micro_batch == "auto" else training.micro_batch
        if sequences % (training.devices * micro):
            raise ValueError(
                f"training: a batch of rung {rung.name} has {sequences} sequences, which cannot be divided evenly "
                f"among {training.devices} devices with {micro} in each pass; change devices, micro_batch or "
                "batch_tokens"
            )
        experts, devices = rung.shape.num_experts, training.expert_parallel
        if devices > 1 and (experts == 1 or experts % devices):
            raise ValueError(
                f"training.expert_parallel: the experts of rung {rung.name} ({experts}) cannot be divided evenly among "
                f"{devices} devices; change it, or set it to 1 for this rung in training.rungs"
            )

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy without the cached properties, such as `rungs`, which `update` may change."""
        copied = super().model_copy(update=update, deep=deep)
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied

    @property
    def digest(self) -> str:
        """Hash of the resolved config without the name of the study, and without what changes no number."""
        data = self.model_dump(mode="json", exclude={"name", "training", "executor"})
        data["optimizer"]["zero_stage"] = 0  # as in configs of store version 4, so that their digests stay the same
        sequences = {rung.name: self.training_of(rung).aux_loss_sequences for rung in self.rungs}
        if any(sequences.values()):
            data["aux_loss_sequences"] = sequences
        return config_digest(data)

    @property
    def trained_here(self) -> tuple[Rung, ...]:
        """The rungs whose runs this program trains itself."""
        return tuple(rung for rung in self.rungs if rung.part != "goal" and not self.lab.has(rung.part))

    @property
    def longest_horizon(self) -> int:
        """The longest horizon of all rungs that are trained here, in tokens; 0 where all are trained elsewhere."""
        return max((max(rung.read) for rung in self.trained_here), default=0)
