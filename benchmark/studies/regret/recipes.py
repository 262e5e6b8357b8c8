"""Parametrizations and schedules by name, and what a request calls the two together."""

from typing import Any, NamedTuple

from pydantic import Field, PositiveInt

from lrladder.benchmark.config.parts import Strict
from lrladder.benchmark.schedules import DecayShape, Kind, Read, ScheduleConfig
from lrladder.models.rules import MUTRANSFER, STANDARD, Rules
from lrladder.paradigms.published import POWER_D

DEFAULT = "default"  # the study's own schedule
BUILT_IN_RULES = {"sp": STANDARD, "mup": MUTRANSFER}
BUILT_IN_SCHEDULES: dict[str, dict[str, Any]] = {"power": {"kind": "power", "exponent": POWER_D, "cap": 4.0}}


class ParametrizationConfig(Strict):
    """Rules, and the proxy at whose longest horizon and batch they are the standard ones."""

    rules: Rules = STANDARD
    base: str | None = None  # None: the study's


class ScheduleChange(Strict):
    """What a schedule has otherwise than the study's own; the keys are those of `schedule`."""

    kind: Kind | None = None
    warmup_tokens: PositiveInt | None = None
    decay_fraction: float | None = Field(None, gt=0, lt=1)
    decay: DecayShape | None = None
    decay_to: float | None = Field(None, ge=0, lt=1)
    exponent: float | None = Field(None, ge=-2, le=0)
    cap: float | None = Field(None, ge=1)

    def apply(self, schedule: ScheduleConfig) -> ScheduleConfig:
        return ScheduleConfig.model_validate({**schedule.model_dump(), **self.model_dump(exclude_none=True)})


class Arm(NamedTuple):
    """What runs are trained under."""

    parametrization: str
    schedule: str = DEFAULT
    read: Read = "decay"


def label_of(arm: Arm) -> str:
    """What requests and measurements call an arm: its parametrization, then what differs from the study's default."""
    schedule = () if arm.schedule == DEFAULT else (arm.schedule,)
    return "+".join((arm.parametrization, *schedule, *(() if arm.read == "decay" else (arm.read,))))


def with_built_in_parametrizations(given: object) -> object:
    """`sp` and `mup` are there, and a rule that is left out of them is as without the key."""
    if not isinstance(given, dict):
        return given
    found: dict[str, object] = {name: {"rules": rules.model_dump()} for name, rules in BUILT_IN_RULES.items()}
    for name, one in given.items():
        built_in = BUILT_IN_RULES.get(name)
        rules = one.get("rules", {}) if isinstance(one, dict) else None
        if built_in is not None and isinstance(one, dict) and isinstance(rules, dict):
            found[name] = {**one, "rules": built_in.model_dump() | rules}
        else:
            found[name] = one
    return found


def with_built_in_schedules(given: object) -> object:
    return {**BUILT_IN_SCHEDULES, **given} if isinstance(given, dict) else given
