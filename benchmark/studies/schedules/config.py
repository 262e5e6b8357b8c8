"""The config of a study of schedules: families of models, batches and horizons, with an LR sweep at each."""

from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from lrladder.benchmark.config.parts import PowerConfig, SearchConfig, Strict
from lrladder.benchmark.ladder import Base, Ladder, Rung
from lrladder.benchmark.schedules import ScheduleConfig
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.models.rules import MUTRANSFER, Rules
from lrladder.models.shape import ModelShape
from lrladder.paradigms.lab import ParametrizationName

ScheduleName = Literal["wsd", "power", "cosine"]
SCHEDULE_NAMES: tuple[ScheduleName, ...] = ("wsd", "power", "cosine")
# muTransfer only over sizes, because the schedules are compared on tokens and batch
BY_SIZE = MUTRANSFER.model_copy(update={"horizon": "none", "betas": False, "decay_horizon": "none"})


class SizeConfig(Strict):
    """The sizes in which the models of a family differ."""

    width: PositiveInt
    """Width of the residual stream."""
    depth: PositiveInt
    """Number of blocks."""
    expert_width: PositiveInt
    """Hidden width of one expert, or of the dense MLP."""


class FamilyConfig(Strict):
    """Models between which muTransfer transfers the LR. The first and smallest is the base. One expert means dense."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.]+$")
    """Name of the family, with which the names of its rungs begin."""
    num_experts: PositiveInt = 1
    """Number of experts in each block; 1 for a dense model."""
    top_k: PositiveInt = 1
    """Number of experts that each token uses."""
    sizes: tuple[SizeConfig, ...] = Field(min_length=1, max_length=8)
    """The models of the family, from small to large."""


class SchedulesConfig(StudyConfig):
    """Each model at each batch is a rung, each schedule a parametrization."""

    kind: Literal["power"] = "power"
    head_size: PositiveInt = 16
    """Width of one attention head."""
    seq_len: PositiveInt = 128
    """Tokens of one training sequence."""
    families: tuple[FamilyConfig, ...] = Field(min_length=1, max_length=4)
    """The families of models on which the schedules are compared."""
    horizons: tuple[PositiveInt, ...] = Field(min_length=2, max_length=16)
    """Token counts at which the LR is swept, in tokens."""
    base_batch: PositiveInt
    """Batch, in tokens, at which the one setting of each schedule is chosen."""
    batches: dict[ScheduleName, Annotated[tuple[PositiveInt, ...], Field(max_length=8)]]
    """Batches, in tokens, at which each schedule is swept. Each list must have the base batch."""
    rules: Rules = BY_SIZE
    """The rules that carry the LR over the sizes of a family. None of them may depend on tokens."""
    power: PowerConfig = PowerConfig()
    """The numbers of the Power schedule."""
    search: SearchConfig
    """The LR sweep of each cell."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [family.name for family in self.families]
        if len(set(names)) < len(names):
            raise ValueError("families: two families have the same name; rename one")
        if self.rules.by_tokens:
            raise ValueError(
                "rules: no rule may depend on tokens, as the schedules are compared over tokens; turn such rules off"
            )
        if self.schedule.kind != "wsd":
            raise ValueError("schedule.kind: leave it wsd; this key gives the warm-up and the decay of all schedules")
        for name in SCHEDULE_NAMES:
            if self.base_batch not in self.batches.get(name, ()):
                raise ValueError(f"batches.{name}: base_batch {self.base_batch} is missing; add it")
        if len(set(self.horizons)) < len(self.horizons):
            raise ValueError("horizons: a value is given twice; give each value once")
        for rung in self.rungs:
            self._check(rung)
        return self

    def _check(self, rung: Rung) -> None:
        for horizon in rung.horizons:
            if horizon % rung.batch_tokens or rung.batch_tokens % self.seq_len:
                raise ValueError(
                    f"{rung.name}: horizon {horizon} must be a multiple of the batch {rung.batch_tokens}, and the "
                    "batch of seq_len; change one"
                )
            if self.schedule.decay_start(horizon, rung.batch_tokens) <= self.schedule.warmup_tokens:
                raise ValueError(
                    f"{rung.name}: the decay for horizon {horizon} begins before the warm-up is over; "
                    "lower schedule.warmup_tokens"
                )
            self.schedule.require_decay(horizon, rung.batch_tokens, where=rung.name)

    @property
    def base(self) -> Base:
        return self._base(self.families[0])

    def base_of(self, rung: Rung, parametrization: ParametrizationName) -> Base:
        """The smallest model of the family at base batch and shortest horizon, where the one setting is chosen."""
        return self._base(self.family_of(rung))

    def _base(self, family: FamilyConfig) -> Base:
        shape = self._shape(family, family.sizes[0])
        return Base(shape=shape, batch_tokens=self.base_batch, tokens=min(self.horizons))

    @cached_property
    def rungs(self) -> Ladder:
        batches = sorted({batch for known in self.batches.values() for batch in known})
        return Ladder(
            self._rung(family, size, batch) for family in self.families for size in family.sizes for batch in batches
        )

    def swept_rungs(self, family: FamilyConfig, schedule: ScheduleName) -> Iterator[Rung]:
        """The rungs at which a schedule's LR is swept."""
        for size in family.sizes:
            for batch in sorted(self.batches[schedule]):
                yield self._rung(family, size, batch)

    def family_of(self, rung: Rung) -> FamilyConfig:
        return next(family for family in self.families if family.name == rung.name.split("-")[0])

    @property
    def router_rules(self) -> tuple[str, ...]:
        return ("rules.router",) if self.rules.router and self.rules != BY_SIZE else ()

    def rules_of(self, parametrization: ParametrizationName) -> Rules:
        return self.rules

    def schedule_of(self, parametrization: ParametrizationName) -> ScheduleConfig:
        changes: dict[str, object] = {"kind": parametrization}
        if parametrization == "power":
            changes |= self.power.model_dump()
        return self.schedule.model_copy(update=changes)

    def _rung(self, family: FamilyConfig, size: SizeConfig, batch: int) -> Rung:
        name = f"{family.name}-{size.width}x{size.depth}-b{batch}"
        return Rung(name, "proxy", self._shape(family, size), batch, tuple(sorted(self.horizons)))

    def _shape(self, family: FamilyConfig, size: SizeConfig) -> ModelShape:
        return ModelShape(
            vocab_size=self.corpus.vocab_size,
            head_size=self.head_size,
            seq_len=self.seq_len,
            num_experts=family.num_experts,
            top_k=family.top_k,
            **size.model_dump(),
        )
