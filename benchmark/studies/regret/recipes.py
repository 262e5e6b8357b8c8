"""Parametrizations and schedules by name, and the label under which requests name a pair of them."""

from typing import Any, ClassVar, NamedTuple

from pydantic import Field, PositiveInt

from lrladder.benchmark.config.parts import Strict
from lrladder.benchmark.schedules import DecayShape, Kind, Read, ScheduleConfig
from lrladder.models.rules import MUTRANSFER, STANDARD, Rules
from lrladder.paradigms.published import POWER_D

DEFAULT = "default"  # names the study's own schedule
BUILT_IN_RULES = {"sp": STANDARD, "mup": MUTRANSFER}
BUILT_IN_SCHEDULES: dict[str, dict[str, Any]] = {"power": {"kind": "power", "exponent": POWER_D, "cap": 4.0}}


class ParametrizationConfig(Strict):
    """The rules of a parametrization, and the proxy that is their base."""

    rules: Rules = STANDARD
    """The rules that are on."""
    base: str | None = None
    """Name of the proxy that is the base of these rules. null: the base of the study."""


class ScheduleChange(Strict):
    """The keys in which a named schedule differs from the study's own. They are the keys of `schedule`."""

    changes: ClassVar = ScheduleConfig

    kind: Kind | None = None
    warmup_tokens: PositiveInt | None = None
    decay_fraction: float | None = Field(None, gt=0, lt=1)
    decay: DecayShape | None = None
    decay_to: float | None = Field(None, ge=0, lt=1)
    exponent: float | None = Field(None, ge=-2, le=0)
    cap: float | None = Field(None, ge=1)

    def apply(self, schedule: ScheduleConfig) -> ScheduleConfig:
        """The study's schedule with these changes."""
        return ScheduleConfig.model_validate({**schedule.model_dump(), **self.model_dump(exclude_none=True)})


class Arm(NamedTuple):
    """The parametrization and schedule under which runs are trained."""

    parametrization: str
    schedule: str = DEFAULT
    read: Read = "decay"  # how the loss at a horizon is measured: after a decay, or on averaged weights


def label_of(arm: Arm) -> str:
    """The name of an arm in requests and measurements, such as `mup+power`.

    It is the parametrization, followed by the schedule and the way of reading if they are not the default.
    """
    schedule = () if arm.schedule == DEFAULT else (arm.schedule,)
    return "+".join((arm.parametrization, *schedule, *(() if arm.read == "decay" else (arm.read,))))


def with_built_in_parametrizations(given: object) -> object:
    """The given parametrizations with `sp` and `mup` added.

    If the user changes rules of one of these two, the rules that are not named keep their built-in values.
    """
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
    """The given schedules with the built-in ones added. A given one replaces a built-in one of the same name."""
    return {**BUILT_IN_SCHEDULES, **given} if isinstance(given, dict) else given
