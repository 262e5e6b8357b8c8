"""The keys of a regret study's config, as the user writes them in YAML, and the rungs, arms and rules that follow."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from pydantic import ConfigDict, Field, field_validator, model_validator

from lrladder.benchmark import upgrade
from lrladder.benchmark.ladder import Base, Ladder, Rung
from lrladder.benchmark.schedules import ScheduleConfig
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.benchmark.studies.regret.entries import EntryConfig, EntryName
from lrladder.benchmark.studies.regret.parts import LadderConfig, RungConfig, SimulatedConfig, ValidationConfig
from lrladder.benchmark.studies.regret.recipes import (
    BUILT_IN_RULES,
    DEFAULT,
    Arm,
    ParametrizationConfig,
    ScheduleChange,
    label_of,
    with_built_in_parametrizations,
    with_built_in_schedules,
)
from lrladder.models.rules import STANDARD, Rules
from lrladder.models.shape import ModelShape
from lrladder.paradigms.lab import ParametrizationName


class RegretKeys(StudyConfig):
    """The keys of one regret study: its ladder, the entries that compete on it, and how its targets are scored."""

    model_config = ConfigDict(serialize_by_alias=True)
    can_be_external = True

    ladder: LadderConfig
    """The models of the study, with their token counts and batches."""
    base_rung: str = Field(alias="base")
    """Name of the proxy to whose size, batch and longest horizon the rules take their ratios."""
    parametrizations: dict[EntryName, ParametrizationConfig] = Field({}, validate_default=True)
    """Sets of rules by name. `sp` and `mup` are there without being named."""
    schedules: dict[EntryName, ScheduleChange] = Field({}, validate_default=True)
    """More schedules by name, for entries. `power` is there without being named."""
    entries: dict[EntryName, EntryConfig] = Field(min_length=1)
    """The competitors by name."""
    validation: ValidationConfig = ValidationConfig()
    """How proposals are trained and scored at the targets."""
    simulated: SimulatedConfig | None = None
    """If this is given, losses come from a law and nothing is trained."""

    @model_validator(mode="before")
    @classmethod
    def _no_paradigms(cls, data: Any) -> Any:
        if isinstance(data, dict) and "paradigms" in data:
            raise ValueError(f"key paradigms is now entries; write in its place: {upgrade.replaced_paradigms(data)}")
        return data

    @field_validator("parametrizations", mode="before")
    @classmethod
    def _parametrizations(cls, given: object) -> object:
        return with_built_in_parametrizations(given)

    @field_validator("schedules", mode="before")
    @classmethod
    def _schedules(cls, given: object) -> object:
        return with_built_in_schedules(given)

    @property
    def base(self) -> Base:
        """The base rung at its longest horizon."""
        return self._base(self.base_rung)

    def base_of(self, rung: Rung, parametrization: ParametrizationName) -> Base:
        """The base of an arm, given by its label; it is the same for all rungs."""
        return self._base(self.base_rung_of(parametrization))

    def base_rung_of(self, label: str) -> str:
        """The name of the proxy that is the base of the arm with this label."""
        return self.parametrizations[self.arm(label).parametrization].base or self.base_rung

    def _base(self, name: str) -> Base:
        rung = self.rungs.rung(name)
        return Base(shape=rung.shape, batch_tokens=rung.batch_tokens, tokens=max(rung.horizons))

    def _arms(self) -> Iterator[Arm]:
        """The arms of all proposals in the order of the entries, then the arms of all searches."""
        yield from (entry.arm for entry in self.entries.values())
        yield from (entry.searched for entry in self.entries.values())

    @cached_property
    def arms(self) -> Mapping[str, Arm]:
        """All arms of the study by their labels, which are the names under which it asks for runs."""
        return {label_of(arm): arm for arm in self._arms()}

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the arms that the oracle sweeps: those of all proposals, or those in validation.oracles."""
        found = dict.fromkeys(label_of(entry.arm) for entry in self.entries.values())
        wanted = self.validation.oracles
        return tuple(label for label in found if wanted is None or label in wanted)

    def arm(self, label: str) -> Arm:
        """The arm with this label. A label of no entry is taken as a parametrization under the study's schedule."""
        return self.arms.get(label, Arm(label))

    def rules_of(self, parametrization: ParametrizationName) -> Rules:
        """The rules of an arm, given by its label."""
        arm = self.arm(parametrization)
        rules = self.parametrizations[arm.parametrization].rules
        if arm.schedule == DEFAULT or self.schedule_of(parametrization).kind != "power":
            return rules
        # the Power schedule itself makes the LR depend on tokens and batch
        return rules.model_copy(update={"horizon": "none", "betas": False, "decay_horizon": "none"})

    @property
    def router_rules(self) -> tuple[str, ...]:
        return tuple(
            f"parametrizations.{name}.rules.router"
            for name, one in self.parametrizations.items()
            if one.rules.router and not BUILT_IN_RULES.get(name, STANDARD).router
        )

    def schedule_of(self, parametrization: ParametrizationName) -> ScheduleConfig:
        """The schedule of an arm, given by its label."""
        arm = self.arm(parametrization)
        return self._schedule(arm.schedule).model_copy(update={"read": arm.read})

    def _schedule(self, name: str) -> ScheduleConfig:
        return self.schedule if name == DEFAULT else self.schedules[name].apply(self.schedule)

    def oracle_guess(self, label: str) -> float:
        """The LR in the middle of the grid on which the oracle sweeps an arm.

        It is validation.oracle_lr_guess; else the guess of the first entry with this arm; else of the first entry with
        its parametrization; else of any entry. Raises ValueError if no entry has a guess.
        """
        if self.validation.oracle_lr_guess is not None:
            return self.validation.oracle_lr_guess
        arm, known = self.arm(label), [entry for entry in self.entries.values() if entry.guess is not None]
        alike = [entry for entry in known if entry.arm == arm]
        alike += [entry for entry in known if entry.parametrization == arm.parametrization]
        for entry in (*alike, *known):
            assert entry.guess is not None
            return entry.guess
        raise ValueError("validation.oracle_lr_guess: no entry has an lr_guess, so the sweeps at targets need one here")

    @cached_property
    def rungs(self) -> Ladder:
        """All rungs, with the values that they take from the ladder filled in."""
        return Ladder(self._rung(rung) for rung in self.ladder.rungs)

    def _rung(self, rung: RungConfig) -> Rung:
        ladder = self.ladder
        shape = ModelShape(
            vocab_size=self.corpus.vocab_size,
            width=rung.width,
            depth=rung.depth,
            head_size=ladder.head_size,
            num_experts=ladder.num_experts,
            top_k=ladder.top_k,
            seq_len=ladder.seq_len,
            heads=rung.heads,
            kv_heads=rung.kv_heads,
            architecture=ladder.architecture,
            **ladder.widths_of(rung),
        )
        batch = rung.batch_tokens or ladder.batch_tokens
        horizons, continued = tuple(sorted(rung.horizons)), tuple(sorted(rung.continued))
        return Rung(rung.name, rung.part, shape, batch, horizons, continued=continued, warmup_tokens=rung.warmup_tokens)
