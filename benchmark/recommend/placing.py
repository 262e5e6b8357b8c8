"""Gives each parameter of a transformers model its kind in a recipe, by its name."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.hf.names import ENDS, TIED, kind_of_theirs
from lrladder.benchmark.lab.recipe import Recipe
from lrladder.models.shape import ModelShape

if TYPE_CHECKING:
    from torch import nn


def place(model: "nn.Module", recipe: Recipe, sizes: ModelShape) -> "dict[str, list[nn.Parameter]]":
    """The trained parameters of a transformers model by the kinds of a recipe, in the order of the recipe.

    Raises InputError for a head that is tied to the embedding where that of the recipe is not, or the reverse, for a
    parameter that has no kind in the recipe, and for a model of other sizes than the recipe is for.
    """
    tied = _require_tied_alike(model, recipe)
    found: dict[str, list[nn.Parameter]] = {setting.kind: [] for setting in recipe.settings}
    for name, param in _trained(model):
        kind = kind_of_theirs(name, tied=tied)
        if kind is None or kind not in found:
            why = (
                "is of no kind that a recipe has" if kind is None else f"is of the kind {kind}, which this recipe lacks"
            )
            raise InputError(
                f"parameter {name} {why}; give the model as transformers makes it, of an architecture in "
                "docs/own-model.md, before it is wrapped or adapted"
            )
        found[kind].append(param)
    _require_sizes(model, found, sizes)
    return found


def settings_of(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """What AdamW is told of each kind of parameter: peak LR, PyTorch's weight decay, eps and betas."""
    betas = (recipe.beta1, recipe.beta2)
    return {
        setting.kind: {**setting.model_dump(include={"lr", "weight_decay", "eps"}), "betas": betas}
        for setting in recipe.settings
    }


def initialise(placed: "dict[str, list[nn.Parameter]]", recipe: Recipe, *, seed: int) -> None:
    """Fill the parameters with a truncated normal of the recipe's std (cut at 3 std), or with `start` where it is None.

    This is what models/parametrization.py does to our own model, with other random numbers.
    """
    import torch

    settings = {setting.kind: setting for setting in recipe.settings}
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(seed)
        for kind, params in placed.items():
            std, start = settings[kind].init_std, settings[kind].start
            for param in params:
                if std:
                    torch.nn.init.trunc_normal_(param, std=std, a=-3 * std, b=3 * std)
                else:
                    param.fill_(start if std is None else 0.0)


def _trained(model: "nn.Module") -> "Iterator[tuple[str, nn.Parameter]]":
    """All but parameters without a gradient, such as the bias by which experts are chosen."""
    return ((name, param) for name, param in model.named_parameters() if param.requires_grad)


def _require_tied_alike(model: "nn.Module", recipe: Recipe) -> bool:
    """Whether the head is tied to the embedding, in the model as in the recipe."""
    tied = TIED.kind in {setting.kind for setting in recipe.settings}
    names: dict[int, str] = {}
    for name, param in model.named_parameters(remove_duplicate=False):
        first = names.setdefault(id(param), name)
        if first != name and not tied:
            raise InputError(
                f"parameters {first} and {name} are one tensor, but the recipe is for a model with an untied head, "
                "whose LR and initial std are others; set tie_word_embeddings=False in its config"
            )
    (head,) = ENDS["head"].theirs
    if tied and head in dict(model.named_parameters()):
        raise InputError(
            f"parameter {head} is a matrix of its own, but the recipe is for a model whose head is its embedding, "
            "with another LR and initial std; set tie_word_embeddings=True in its config"
        )
    return tied


def _require_sizes(model: "nn.Module", found: "dict[str, list[nn.Parameter]]", sizes: ModelShape) -> None:
    empty = [kind for kind, params in found.items() if not params]
    if empty:
        raise InputError(f"the model has no parameter of the kind {', '.join(empty)}, which its recipe has; {_REMEDY}")
    count = sum(param.numel() for params in found.values() for param in params)
    expected = sizes.n_total + sizes.n_embedding
    if count != expected:
        told = f"width {sizes.width}, depth {sizes.depth}, vocab_size {sizes.vocab_size:,}"
        raise InputError(f"the model has {count:,} parameters, and the recipe is for {expected:,} ({told}); {_REMEDY}")


_REMEDY = "ask for the recipe of this very model, as in recommend(Model.from_hf(config), goal)"
