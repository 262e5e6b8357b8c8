"""A job: one run that the user's own trainer is asked for, with everything that it needs to know."""

from dataclasses import dataclass
from typing import NamedTuple, Self

from pydantic import BaseModel

from lrladder.benchmark.lab.external import Wanted
from lrladder.benchmark.lab.recipe import Recipe
from lrladder.benchmark.lab.trial import reference
from lrladder.benchmark.schedules import ScheduleConfig
from lrladder.benchmark.training.recipe import recipe_at
from lrladder.models.shape import OF_LATENTS, ModelShape

Cell = str | int | float | None
BY_KIND = ("lr", "weight_decay", "eps", "init_std")  # what differs by kind of parameter, one column for each kind
NORM = "norm_final"  # the kind that starts at another value than 1 where embedding and head are one matrix
SEPARATOR = " "  # of the entries that want a job; no name of an entry has one


class Schedule(NamedTuple):
    """How the LR of every group goes, as a factor on its peak. All numbers but the powers are tokens."""

    schedule: str  # wsd, power, linear, cosine or constant
    warmup_tokens: int
    decay_start: int | None  # where the LR begins to fall; None if it never does
    decay_tokens: int | None
    decay: str | None  # linear, sqrt, exponential or cosine
    decay_to: float | None  # share of the LR before the decay
    # Of a power schedule: before its decay the LR is min(cap, batch / power_batch (n / power_tokens)^exponent) times
    # the peak after n tokens. None for others.
    power_exponent: float | None = None
    power_cap: float | None = None
    power_batch_tokens: int | None = None
    power_tokens: int | None = None

    @classmethod
    def of(cls, schedule: ScheduleConfig, tokens: int, batch_tokens: int) -> Self:
        if schedule.kind == "constant":
            return cls(schedule.kind, schedule.warmup_tokens, None, None, None, None)
        start = schedule.fall_start(tokens, batch_tokens)
        falls = (start, tokens - start, schedule.shape, schedule.decay_to)
        return cls(schedule.kind, schedule.warmup_tokens, *falls)


@dataclass(frozen=True)
class Job:
    """One run to train: `tokens` tokens from the start, then one validation loss in nats per token, by `name`.

    Jobs of one `trunk` are the same run up to their decays, so that a trainer may train it once and branch. It is empty
    where the schedule leaves nothing to share. Values of `recipe` are for a model without multipliers: these are folded
    in, as `lrladder recommend` does.
    """

    name: str
    trunk: str
    rung: str
    wanted_by: tuple[str, ...]  # entries, or the stage of the study at its targets
    parametrization: str
    seed: int
    tokens: int
    batch_tokens: int
    shape: ModelShape
    schedule: Schedule
    recipe: Recipe
    aux_loss_coef: float
    z_loss_coef: float

    @classmethod
    def of(cls, wanted: Wanted) -> Self:
        reading, trial = wanted.reading, wanted.reading.trial
        recipe = recipe_at(trial, reading.horizon, parametrization=wanted.parametrization)
        schedule = Schedule.of(trial.schedule, reading.horizon, trial.batch_tokens)
        if trial.schedule.kind == "power":
            at = reference(trial)
            power = (trial.schedule.exponent, trial.schedule.cap, at.batch_tokens, at.tokens)
            schedule = Schedule(*schedule[:6], *power)
        return cls(
            name=reading.name,
            trunk=reading.trunk if trial.schedule.has_trunk else "",
            rung=reading.rung,
            wanted_by=tuple(wanted.payers),
            parametrization=wanted.parametrization,
            seed=trial.seed,
            tokens=reading.horizon,
            batch_tokens=trial.batch_tokens,
            shape=trial.shape,
            schedule=schedule,
            recipe=recipe.folded(),
            aux_loss_coef=trial.optimizer.aux_loss_coef,
            z_loss_coef=trial.optimizer.z_loss_coef,
        )

    @property
    def steps(self) -> int:
        return self.tokens // self.batch_tokens

    @property
    def row(self) -> dict[str, Cell]:
        """By column. A list of kinds of parameter has one column for each, such as lr_embedding."""
        recipe, tied = self.recipe, self.shape.architecture.tied
        return {
            "name": self.name,
            "trunk": self.trunk,
            "rung": self.rung,
            "wanted_by": SEPARATOR.join(self.wanted_by),
            "parametrization": self.parametrization,
            "seed": self.seed,
            "tokens": self.tokens,
            "batch_tokens": self.batch_tokens,
            "steps": self.steps,
            **_sizes(self.shape),
            **self.schedule._asdict(),
            "beta1": recipe.beta1,
            "beta2": recipe.beta2,
            "grad_clip": recipe.grad_clip,
            "aux_loss_coef": self.aux_loss_coef,
            "z_loss_coef": self.z_loss_coef,
            "lr": recipe.lr,
            **{f"{what}_{one.kind}": getattr(one, what) for what in BY_KIND for one in recipe.settings},
            **({f"start_{NORM}": one.start for one in recipe.settings if one.kind == NORM} if tied else {}),
        }


def _sizes(shape: ModelShape) -> dict[str, Cell]:
    """All sizes, with those that a config may leave out, and what the blocks compute."""
    absent = OF_LATENTS if shape.kv_rank is None else ()
    given = {name: getattr(shape, name) for name in type(shape).model_fields if name not in absent}
    given |= {"heads": shape.num_heads, "kv_heads": shape.num_kv_heads}
    return _flat(given)


def _flat(given: dict[str, object]) -> dict[str, Cell]:
    found: dict[str, Cell] = {}
    for name, value in given.items():
        if isinstance(value, BaseModel):
            found |= _flat(value.model_dump())
        else:
            found[name] = value if isinstance(value, str | int | float) or value is None else str(value)
    return found
