"""An entry of a study: a paradigm with its settings, under a parametrization and a schedule."""

from typing import Annotated, Any

from pydantic import (
    Field,
    PositiveFloat,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from lrladder.benchmark.config.parts import Strict
from lrladder.benchmark.config.text import suggest
from lrladder.benchmark.schedules import Read
from lrladder.benchmark.studies.regret.recipes import DEFAULT, Arm
from lrladder.models.roles import Role
from lrladder.paradigms import registry
from lrladder.paradigms.settings import AnySettings, Settings

NAME = r"^[A-Za-z0-9_.+-]+$"
EntryName = Annotated[str, Field(pattern=NAME)]
RESERVED = ("validation", "ablation")  # names under which the study itself pays for runs, so no entry may have them
ORACLE = "oracle-"  # begins the name under which the study pays for the oracle's sweep of an arm


class EntryConfig(Strict):
    """One entry. In YAML the settings of its paradigm stand beside the other keys."""

    paradigm: str
    """The name of a paradigm that is shipped or installed, or package.module:Class of your own."""
    parametrization: str
    """Name of the parametrization of its runs."""
    schedule: str = DEFAULT
    """Name of the schedule of its runs. `default`: that of the study."""
    search_schedule: str | None = None
    """Name of the schedule of its search. null: that of its proposals."""
    read: Read = Field("decay", exclude_if=lambda read: read == "decay")
    """How its search measures the loss at a horizon: after a decay, or without one on an average of the weights."""
    budget: PositiveFloat | None = None
    """Most that its search may cost, in runs of the largest target or goal. null: no limit."""
    settings: SerializeAsAny[Settings]

    @model_validator(mode="before")
    @classmethod
    def _split(cls, data: Any) -> Any:
        if not isinstance(data, dict) or isinstance(data.get("settings"), Settings):
            return data
        if "rules" in data:
            raise ValueError(
                "rules do not belong to an entry: put them under parametrizations, and name that parametrization here"
            )
        paradigm = data.get("paradigm")
        if not isinstance(paradigm, str):
            raise ValueError("paradigm is missing: give the name of a paradigm, or package.module:Class")
        named = registry.resolved(paradigm)
        model = registry.settings_model(named.paradigm)
        own = {key: value for key, value in data.items() if key in _OWN}
        settings = {key: value for key, value in data.items() if key not in _OWN}
        known = [*_OWN, *model.model_fields]
        if model is not AnySettings and (unknown := [key for key in settings if key not in known]):
            raise ValueError(f"unknown key {unknown[0]}{suggest(str(unknown[0]), known)}")
        if twice := [key for key, value in named.settings.items() if settings.get(key, value) != value]:
            raise ValueError(
                f"{twice[0]}: the paradigm {paradigm} already stands for {twice[0]}: {named.settings[twice[0]]}; "
                f"remove {twice[0]}, or name another paradigm"
            )
        return {**own, "paradigm": named.paradigm, "settings": model.model_validate({**settings, **named.settings})}

    @model_validator(mode="after")
    def _roles_exist(self) -> "EntryConfig":
        search = getattr(self.settings, "role_search", None)
        known = [role.value for role in Role]
        for role in search.roles if search else ():
            if role not in known:
                raise ValueError(f"role_search.roles: there is no role {role!r}{suggest(role, known)}")
        return self

    @model_serializer(mode="wrap")
    def _flat(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = handler(self)
        return {**{key: value for key, value in found.items() if key != "settings"}, **found["settings"]}

    @property
    def arm(self) -> Arm:
        """The parametrization and schedule of its proposals."""
        return Arm(self.parametrization, self.schedule)

    @property
    def searched(self) -> Arm:
        """The parametrization and schedule of its search, and how the search measures the loss at a horizon."""
        schedule = self.schedule if self.search_schedule is None else self.search_schedule
        return Arm(self.parametrization, schedule, self.read)

    @property
    def guess(self) -> float | None:
        """The LR at which its search begins. None if it has no positive number under the key lr_guess."""
        found = getattr(self.settings, "lr_guess", None)
        return float(found) if isinstance(found, int | float) and found > 0 else None

    @property
    def grid(self) -> tuple[float, float] | None:
        """(lr_guess, factor) of the LR grid that it searches. None for a class of the user's own."""
        guess, factor = getattr(self.settings, "lr_guess", None), getattr(self.settings, "factor", None)
        return None if isinstance(self.settings, AnySettings) or guess is None or factor is None else (guess, factor)


_OWN = ("paradigm", "parametrization", "schedule", "search_schedule", "read", "budget")
