"""Refuses settings of the token embedding where it is the head too, as they would change nothing."""

from collections.abc import Mapping

from lrladder.benchmark.config.parts import OptimizerConfig, RecipeConfig
from lrladder.models.architecture import Architecture
from lrladder.models.rules import Rules

WHY = "one matrix is both embedding and head (architecture.tied)"


def require_no_embedding(architecture: Architecture, optimizer: OptimizerConfig, recipe: RecipeConfig) -> None:
    """Raise ValueError if the models are tied and a setting of an embedding of its own is given."""
    if not architecture.tied:
        return
    if optimizer.embedding_std != type(optimizer).model_fields["embedding_std"].default:
        raise ValueError(f"optimizer.embedding_std: {WHY}, whose initial std has its own rule; remove this key")
    if recipe.embedding_lr != 1:
        raise ValueError(f"recipe.embedding_lr: {WHY}; remove this key and set head_lr, the LR of that matrix")


def require_no_embedding_rule(architecture: Architecture, rules: Mapping[str, Rules]) -> None:
    """Raise ValueError if the models are tied and the `rules` of a parametrization, by name, are for an embedding."""
    for name, of_name in rules.items():
        if architecture.tied and of_name.embedding:
            raise ValueError(
                f"parametrizations.{name}.rules.embedding: {WHY}, and the rule is for an embedding of its own; "
                "turn it off"
            )
