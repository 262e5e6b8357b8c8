"""The config of a drift study: one base model, and the axes along which its best LR is measured."""

from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from lrladder.benchmark.config.parts import SearchConfig, Strict
from lrladder.benchmark.config.text import suggest
from lrladder.benchmark.ladder import Base, Ladder, Rung
from lrladder.benchmark.schedules import ScheduleConfig
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.models.rules import Rules
from lrladder.models.shape import ModelShape
from lrladder.paradigms.lab import ParametrizationName

AxisName = Literal["width", "depth", "experts", "expert_width", "weight_decay", "horizon", "batch"]
PAYER = "axes"  # the name under which a drift study pays for all its runs
OFF = "off"  # the variant without the rule of the axis; every axis has it


class AxisConfig(Strict):
    """One axis: its values, including that of the base, and the variants (sets of rules) that are swept at each.

    The axis `weight_decay` changes the width, and its variants are rules of weight decay.
    """

    axis: AxisName
    """What is changed. Everything else is that of `start`."""
    values: tuple[PositiveInt, ...] = Field(min_length=2, max_length=32)
    """Values of the axis, that of `start` among them; those of `horizon` and `batch` are in tokens."""
    variants: dict[str, Rules] = Field(min_length=1, max_length=16)
    """Sets of rules by name. `off`, the one without the rule of the axis, must be among them."""
    weight_decay: float | None = Field(None, ge=0)
    """Weight decay along this axis. null: that of the study."""
    decay_fractions: dict[str, Annotated[float, Field(gt=0, lt=1)]] = Field(default_factory=dict)
    """By variant, the share of the horizon over which its runs decay, if it is not the study's."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if unknown := [name for name in self.decay_fractions if name not in self.variants]:
            known = suggest(unknown[0], list(self.variants))
            raise ValueError(f"decay_fractions: there is no variant {unknown[0]!r}{known}")
        if len(set(self.values)) < len(self.values):
            raise ValueError("values: a value is given twice; give each value once")
        if OFF not in self.variants:
            raise ValueError(f"variants: {OFF!r} is missing; add it, because all other variants are compared with it")
        if any(rules.horizon == "fitted" for rules in self.variants.values()):
            raise ValueError(
                "variants: the horizon rule fitted needs an exponent from a search, which this study does not make; "
                "use wsd, sde or power"
            )
        return self


class BaseConfig(Strict):
    """The model, batch and horizon that all axes share. The default sizes are assumptions: a CPU can train them."""

    width: PositiveInt = 32
    """Width of the residual stream."""
    depth: PositiveInt = 2
    """Number of blocks."""
    expert_width: PositiveInt = 32
    """Hidden width of one expert."""
    num_experts: PositiveInt = 8
    """Number of experts in each block."""
    top_k: PositiveInt = 2
    """Number of experts that each token uses."""
    head_size: PositiveInt = 16
    """Width of one attention head."""
    seq_len: PositiveInt = 128
    """Tokens of one training sequence."""
    batch_tokens: PositiveInt = 1024
    """Batch in tokens."""
    tokens: PositiveInt = 131072
    """Horizon in tokens."""


class DriftConfig(StudyConfig):
    """One drift study: each point of an axis is a rung, each variant a parametrization."""

    kind: Literal["axes"] = "axes"
    start: BaseConfig = BaseConfig()
    """The base, which all axes start from."""
    search: SearchConfig
    """The LR sweep at each value."""
    axes: tuple[AxisConfig, ...] = Field(min_length=1, max_length=16)
    """The axes along which the best LR is measured, each at most once."""
    holds_within: PositiveFloat = 0.35  # assumption: a third of the drift with width in sp
    """Largest drift at which a rule still holds, in octaves of the LR per doubling of the axis."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [axis.axis for axis in self.axes]
        if len(set(names)) < len(names):
            raise ValueError("axes: an axis is given twice; give each axis once")
        for axis in self.axes:
            if base_value(axis.axis, self.start) not in axis.values:
                raise ValueError(
                    f"axes.{axis.axis}.values: the base's {base_value(axis.axis, self.start)} is missing; add it"
                )
            if axis.axis == "experts" and any(v * self.start.top_k % self.start.num_experts for v in axis.values):
                raise ValueError(
                    "axes.experts.values: each value times top_k / num_experts must be whole; change the values"
                )
            for name in axis.variants:
                schedule = self.schedule_of(parametrization_name(axis.axis, name))
                for rung in self.points(axis):
                    self._check_rung(rung, schedule, f"{rung.name}, {name}")
        return self

    def _check_rung(self, rung: Rung, schedule: ScheduleConfig, where: str) -> None:
        for horizon in rung.horizons:
            if horizon % rung.batch_tokens or rung.batch_tokens % self.start.seq_len:
                raise ValueError(
                    f"{where}: tokens must be a multiple of batch_tokens, and batch_tokens of seq_len; change them"
                )
            if schedule.decay_start(horizon, rung.batch_tokens) <= schedule.warmup_tokens:
                raise ValueError(f"{where}: the decay begins before the warm-up is over; lower schedule.warmup_tokens")
            schedule.require_decay(horizon, rung.batch_tokens, where=where)

    @property
    def base(self) -> Base:
        start = self.start
        return Base(shape=self._shape(), batch_tokens=start.batch_tokens, tokens=start.tokens)

    @cached_property
    def rungs(self) -> Ladder:
        return Ladder(rung for axis in self.axes for rung in self.points(axis))

    def points(self, axis: AxisConfig) -> Iterator[Rung]:
        """The rungs of an axis. A horizon axis has one rung, which is evaluated at all its horizons."""
        start = self.start
        if axis.axis == "horizon":
            yield self._rung("horizon", axis, self._shape(), start.batch_tokens, tuple(sorted(axis.values)))
            return
        for value in sorted(axis.values):
            shape, batch = self._shape(), start.batch_tokens
            match axis.axis:
                case "width" | "weight_decay":
                    ratio = start.expert_width / start.width
                    shape = self._shape(width=value, expert_width=round(ratio * value))
                case "depth":
                    shape = self._shape(depth=value)
                case "experts":
                    shape = self._shape(num_experts=value, top_k=max(1, value * start.top_k // start.num_experts))
                case "expert_width":
                    shape = self._shape(expert_width=value)
                case "batch":
                    batch = value
            yield self._rung(f"{axis.axis}-{value}", axis, shape, batch, (start.tokens,))

    @property
    def router_rules(self) -> tuple[str, ...]:
        return tuple(
            f"axes.{axis.axis}.variants.{name}.router"
            for axis in self.axes
            for name, rules in axis.variants.items()
            if rules.router
        )

    def rules_of(self, parametrization: ParametrizationName) -> Rules:
        axis, variant = self._variant(parametrization)
        return axis.variants[variant]

    def schedule_of(self, parametrization: ParametrizationName) -> ScheduleConfig:
        axis, variant = self._variant(parametrization)
        fraction = axis.decay_fractions.get(variant, self.schedule.decay_fraction)
        return self.schedule.model_copy(update={"decay_fraction": fraction})

    def _variant(self, parametrization: ParametrizationName) -> tuple[AxisConfig, str]:
        axis, variant = parametrization.split(":")
        return next(known for known in self.axes if known.axis == axis), variant

    def _shape(self, **sizes: int) -> ModelShape:
        fixed = self.start.model_dump(exclude={"batch_tokens", "tokens"})
        return ModelShape(vocab_size=self.corpus.vocab_size, **(fixed | sizes))

    def _rung(
        self, name: str, axis: AxisConfig, shape: ModelShape, batch_tokens: int, horizons: tuple[int, ...]
    ) -> Rung:
        return Rung(name, "proxy", shape, batch_tokens, horizons, axis.weight_decay)


def base_value(axis: AxisName, start: BaseConfig) -> int:
    """The value of the base on an axis."""
    names = {"experts": "num_experts", "weight_decay": "width", "horizon": "tokens", "batch": "batch_tokens"}
    return int(getattr(start, names.get(axis, axis)))


def parametrization_name(axis: AxisName, variant: str) -> ParametrizationName:
    """The name under which runs of a variant are requested."""
    return f"{axis}:{variant}"
