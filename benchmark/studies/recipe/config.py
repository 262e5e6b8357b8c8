"""The config of a study that tunes the base recipe: one model, one horizon, and when the search ends."""

from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from lrladder.benchmark.config.parts import OptimizerConfig, RecipeConfig, Seed
from lrladder.benchmark.ladder import Base, Ladder, Rung
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.benchmark.studies.recipe.ingredients import Ingredient, changed, ingredients_of
from lrladder.benchmark.studies.tied import require_no_embedding
from lrladder.models.rules import STANDARD, Rules
from lrladder.paradigms.lab import ParametrizationName

RUNG = "base"


class TuningConfig(StudyConfig):
    """A study that tunes the recipe at one base. `recipe`, `optimizer` and `lr_guess` are the old recipe.

    Each setting that is tried is asked for as a parametrization of its own.
    """

    kind: Literal["recipe"] = "recipe"
    start: Base
    """The base. Its horizon matters, because the best LR ratio of the embedding depends on it."""
    lr_guess: float = Field(ge=1e-8, le=100)
    """LR of the matrices under the old recipe, at which the search starts."""
    embedding_start: PositiveFloat = 16.0  # at widths 32 to 96 the best was between 28 and 56
    """LR ratio of the embedding at which the search starts."""
    search_seeds: tuple[Seed, ...] = Field((2, 3), min_length=2)
    """Seeds of the runs of the search."""
    fresh_seeds: tuple[Seed, ...] = Field((4, 5, 6), min_length=2)
    """Seeds of the final comparison of old and new recipe."""
    budget: PositiveInt = 200
    """Most runs of the base that the search may take. The final comparison is not counted."""
    max_passes: PositiveInt = 4  # assumption: after so many passes only noise moves an ingredient
    """Most times that the search goes through all settings."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        shape, batch, tokens = self.start.shape, self.start.batch_tokens, self.start.tokens
        seeds = (*self.search_seeds, *self.fresh_seeds)
        if len(set(seeds)) < len(seeds):
            raise ValueError(
                "search_seeds, fresh_seeds: a seed is given twice; a recipe is scored on seeds that did not tune it"
            )
        if shape.vocab_size != self.corpus.vocab_size:
            raise ValueError(
                f"start.shape.vocab_size: it must be that of the corpus; set it to {self.corpus.vocab_size}"
            )
        if tokens % batch or batch % shape.seq_len:
            raise ValueError(
                "start: tokens must be a multiple of batch_tokens, and batch_tokens of seq_len; change one of them"
            )
        if self.schedule.decay_start(tokens, batch) <= self.schedule.warmup_tokens:
            raise ValueError("start: the decay begins before the warm-up is over; lower schedule.warmup_tokens")
        require_no_embedding(shape.architecture, self.optimizer, self.recipe)
        return self

    @property
    def base(self) -> Base:
        return self.start

    @property
    def rungs(self) -> Ladder:
        return Ladder([Rung(RUNG, "proxy", self.start.shape, self.start.batch_tokens, (self.start.tokens,))])

    @property
    def ingredients(self) -> dict[str, Ingredient]:
        """The numbers that can be tuned, by name, in the order of the search."""
        return ingredients_of(
            self.recipe,
            self.optimizer,
            lr=self.lr_guess,
            embedding_start=self.embedding_start,
            is_routed=self.start.shape.num_experts > 1,
            is_tied=self.start.shape.architecture.tied,
        )

    def rules_of(self, parametrization: ParametrizationName) -> Rules:
        return STANDARD

    def recipe_of(self, parametrization: ParametrizationName) -> RecipeConfig:
        return changed(self.recipe, parametrization)

    def optimizer_of(self, parametrization: ParametrizationName) -> OptimizerConfig:
        return changed(self.optimizer, parametrization)
