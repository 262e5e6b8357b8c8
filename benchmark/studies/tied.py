"""Refuses settings of the token embedding where it is the head too, as they would change nothing."""

from collections.abc import Iterable, Mapping

from lrladder.benchmark.config.parts import OptimizerConfig, RecipeConfig
from lrladder.models.architecture import Architecture
from lrladder.models.roles import Role
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


def require_roles(
    architecture: Architecture, rules: Mapping[str, Rules], searched: Mapping[str, Iterable[str]]
) -> None:
    """Raise ValueError if rules, or a search of LRs by role, are about a role that the models do not have.

    `rules` are by parametrization, and `searched` has the roles by the name of the entry.
    """
    for name, of_name in rules.items():
        if architecture.tied and of_name.embedding:
            raise ValueError(
                f"parametrizations.{name}.rules.embedding: {WHY}, and the rule is for an embedding of its own; "
                "turn it off"
            )
    absent = {Role.EMBEDDING, Role.HEAD} if architecture.tied else {Role.TIED}
    for name, roles in searched.items():
        for role in roles:
            if role in absent:
                told = f"{WHY}; its role is tied" if architecture.tied else "embedding and head are two matrices"
                raise ValueError(f"entries.{name}.role_search.roles: there is no role {role!r}: {told}")
