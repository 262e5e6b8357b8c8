"""The LR to set for a model, and the recipe as torch takes it."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lrladder.benchmark import schedules
from lrladder.benchmark.api.spoken import in_python, spoken
from lrladder.benchmark.api.view import Shown, view
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.recipe import Recipe
from lrladder.benchmark.recommend.placing import initialise, place, settings_of
from lrladder.benchmark.recommend.study import Advice
from lrladder.benchmark.recommend.summary import summary
from lrladder.models.shape import ModelShape

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LambdaLR


@dataclass(frozen=True)
class Recommendation:
    """The answer of a study for one model and run. The values are for a model without multipliers of outputs.

    Set the LRs of `lr_by_role`. `lr` is the study's one LR, from which the rules compute them; it has the interval.
    """

    advice: Advice

    @property
    def lr(self) -> float:
        """The study's LR, from which the rules compute those of `lr_by_role`. If there are none, set this one.

        Then it is that of the matrices, and `lr_ratios` has the roles that the study trains at a multiple of it.
        """
        return self.advice.lr

    @property
    def lr_low(self) -> float | None:
        """Lower end of the 90% interval of `lr`; None for an entry without one."""
        return self.advice.lr_low

    @property
    def lr_high(self) -> float | None:
        """Upper end of the 90% interval of `lr`; None for an entry without one."""
        return self.advice.lr_high

    @property
    def lr_by_role(self) -> dict[str, float]:
        """The peak LR to set for each kind of parameter; empty if only the number of parameters is known."""
        return dict(self.advice.lrs)

    @property
    def lr_ratios(self) -> dict[str, float]:
        """LRs of roles divided by `lr`, for an answer without `lr_by_role`. Roles that are not named have `lr`."""
        return dict(self.advice.lr_ratios)

    @property
    def entry(self) -> str:
        """The entry that answers; `why` says why this one."""
        return self.advice.paradigm

    @property
    def why(self) -> str:
        """Why this entry answers."""
        return self.advice.why

    @property
    def weak(self) -> tuple[str, ...]:
        """What weakens the answer, in words."""
        return tuple(map(in_python, self.advice.flags))

    @property
    def extrapolation(self) -> float:
        """FLOPs of the run / FLOPs of the largest run that was searched."""
        return self.advice.extrapolation

    @property
    def tokens(self) -> int:
        """Training tokens of the run."""
        return self.advice.tokens

    @property
    def batch_tokens(self) -> int:
        """Tokens of one step."""
        return self.advice.batch_tokens

    @property
    def grad_clip(self) -> float:
        """The global norm at which gradients are clipped. Raises InputError without a recipe."""
        return self._recipe().grad_clip

    @cached_property
    def table(self) -> "pd.DataFrame":
        """The settings of each kind of parameter, a row for each. Raises InputError without a recipe.

        `weight_decay` is PyTorch's: a step shrinks a weight by LR times decay. An `init_std` of NaN: start at `start`,
        which is 1 but for the norm before a tied head; there the multiplier of the logits is folded into it.
        """
        import pandas as pd

        columns = ("kind", "role", "lr", "weight_decay", "eps", "init_std", "start")
        rows = [[getattr(setting, column) for column in columns] for setting in self._recipe().settings]
        table = pd.DataFrame(rows, columns=list(columns)).astype({"init_std": float})
        return table.assign(start=table["start"].where(table["init_std"].isna()))

    @spoken
    def param_groups(self, model: "nn.Module") -> list[dict[str, Any]]:
        """Groups for torch.optim.AdamW, one for each kind: its parameters, LR, weight decay, eps and betas.

        `model` is the model of transformers that this recipe is for. Raises InputError, by name, if its head is tied
        and that of the recipe is not, or the reverse, and for a parameter that has no place in the recipe.
        """
        recipe, sizes = self._recipe(), self._sizes()
        settings = settings_of(recipe)
        placed = place(model, recipe, sizes)
        return [{"params": params, "name": kind, **settings[kind]} for kind, params in placed.items()]

    @spoken
    def initialise(self, model: "nn.Module", *, seed: int = 0) -> None:
        """Give the weights of the model the initial values that the LRs are for. Raises InputError as `param_groups`.

        They are normals of the recipe's standard deviations, cut at three of them; norms start at ones, or at `start`.
        """
        recipe = self._recipe()
        initialise(place(model, recipe, self._sizes()), recipe, seed=seed)

    @spoken
    def scheduler(self, optimizer: "Optimizer") -> "LambdaLR":
        """The schedule for torch, which multiplies the LR of each group. Call its `step` after each training step.

        Raises InputError without a recipe.
        """
        from torch.optim.lr_scheduler import LambdaLR

        self._recipe()
        return LambdaLR(optimizer, self.factor)

    @spoken
    def factor(self, step: int) -> float:
        """By what the peak LR of every group is multiplied at a step, 0 being the first. Raises InputError."""
        schedule, at = self.advice.schedule, self.advice.reference
        if schedule is None or at is None:
            raise _no_recipe()
        before = min(step * self.batch_tokens, self.tokens)
        return schedules.factor(schedule, before, batch_tokens=self.batch_tokens, horizon=self.tokens, at=at)

    def _recipe(self) -> Recipe:
        if self.advice.recipe is None:
            raise _no_recipe()
        return self.advice.recipe

    def _sizes(self) -> ModelShape:
        assert self.advice.sizes is not None, "an advice with a recipe has sizes"
        return self.advice.sizes

    def _repr_html_(self) -> str:
        tables = [Shown("settings of each kind of parameter", self.table)] if self.advice.recipe else []
        lines = [summary(self.advice), *([self.advice.recipe.schedule] if self.advice.recipe else [])]
        return view("Recommended LR", lines, tables, self.weak)


def _no_recipe() -> InputError:
    return InputError(
        "the recipe by role needs the sizes of the model, and this answer is by its number of parameters alone: "
        "call recommend(Model.from_hf(config), goal)"
    )
