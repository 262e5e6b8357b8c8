"""The config of a study that tunes the base recipe: one model, one horizon, and when the search ends."""

from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from lrladder.benchmark.config.parts import OptimizerConfig, RecipeConfig, Seed
from lrladder.benchmark.ladder import Base, Ladder, Rung
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.benchmark.studies.recipe.ingredients import Ingredient, changed, ingredients_of
from lrladder.models.rules import STANDARD, Rules
from lrladder.paradigms.lab import ParametrizationName

RUNG = "base"


class TuningConfig(StudyConfig):
    """`recipe`, `optimizer` and `lr_guess` are the old recipe. Each setting that is tried is a parametrization."""

    kind: Literal["recipe"] = "recipe"
    start: Base  # tuned at its own horizon: the best ratio of the embedding moves with it
    lr_guess: float = Field(ge=1e-8, le=100)
    embedding_start: PositiveFloat = (
        16.0  # where its ratio is first looked for; the best lay at 28 to 56 for widths 32 to 96
    )
    search_seeds: tuple[Seed, ...] = Field((2, 3), min_length=2)
    fresh_seeds: tuple[Seed, ...] = Field((4, 5, 6), min_length=2)  # for the last figures
    budget: PositiveInt = 200  # runs of the base that the search may take; the last figures come on top
    max_passes: PositiveInt = 4  # assumption: noise alone moves nothing after so many

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        shape, batch, tokens = self.start.shape, self.start.batch_tokens, self.start.tokens
        seeds = (*self.search_seeds, *self.fresh_seeds)
        if len(set(seeds)) < len(seeds):
            raise ValueError(
                "search_seeds, fresh_seeds: a seed is there twice; score the recipe on seeds that did not tune it"
            )
        if shape.vocab_size != self.corpus.vocab_size:
            raise ValueError(f"start.shape.vocab_size: give that of the corpus, {self.corpus.vocab_size}")
        if tokens % batch or batch % shape.seq_len:
            raise ValueError("start: tokens must be a multiple of batch_tokens, and batch_tokens one of seq_len")
        if self.schedule.decay_start(tokens, batch) <= self.schedule.warmup_tokens:
            raise ValueError("start: tokens end before schedule.warmup_tokens are over")
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
        )

    def rules_of(self, parametrization: ParametrizationName) -> Rules:
        return STANDARD

    def recipe_of(self, parametrization: ParametrizationName) -> RecipeConfig:
        return changed(self.recipe, parametrization)

    def optimizer_of(self, parametrization: ParametrizationName) -> OptimizerConfig:
        return changed(self.optimizer, parametrization)
