"""Refuses settings that the user wrote and that change nothing, because the models lack what they are about.

A default is never refused, as a stored config has them all, and neither is a coefficient of 0, which is true of a model
without the loss. Configs of stored studies are read without this check, so that folders of older versions stay
readable.
"""

from collections.abc import Iterable, Iterator

from pydantic import BaseModel

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.studies.config import StudyConfig

NO_ROUTER = "the models have no router (num_experts is 1)"
NO_BIAS = "the experts have no bias (architecture.expert_bias is false)"
NO_GROUPS = "the experts are in one group (architecture.num_groups is 1)"
NO_BALANCE_LOSS = "there is no balance loss (optimizer.aux_loss_coef is 0)"


def require_used(config: StudyConfig, *, source: str) -> None:
    """Raise InputError with one line, which `source` begins, if the user wrote a setting that changes nothing."""
    for key, why in _unused(config):
        raise InputError(f"{source}: {key}: {why}, so this key changes nothing; remove it")


def _unused(config: StudyConfig) -> Iterator[tuple[str, str]]:
    """Each key that changes nothing, and why."""
    shapes = [rung.shape for rung in config.rungs]
    by_micro_batch = any(config.training_of(rung).aux_loss_over == "micro_batch" for rung in config.rungs)
    keys_of_balance = ["training.aux_loss_over"] if by_micro_batch else []
    if all(shape.num_experts == 1 for shape in shapes):
        yield from ((key, NO_ROUTER) for key in (*_of_routers(config), *keys_of_balance))
        return
    if not any(shape.architecture.expert_bias for shape in shapes):
        yield from ((key, NO_BIAS) for key in _given(config.optimizer, "optimizer", ("bias_rate",), unless=0))
    if all(shape.architecture.num_groups == 1 for shape in shapes):
        yield from ((key, NO_GROUPS) for key in _given(shapes[0].architecture, "architecture", ("group_best",)))
    if not config.optimizer.aux_loss_coef:
        yield from ((key, NO_BALANCE_LOSS) for key in keys_of_balance)


def _of_routers(config: StudyConfig) -> Iterator[str]:
    """The keys about routers and routed experts that the user wrote, without those of devices."""
    architecture = next(iter(config.rungs)).shape.architecture  # all rungs have the same
    yield from _given(config.recipe, "recipe", ("router_lr",))
    yield from _given(config.optimizer, "optimizer", ("aux_loss_coef", "z_loss_coef", "bias_rate"), unless=0)
    yield from _given(architecture, "architecture", ("renormalise", "routed_scale", "score", "expert_bias"))
    if config.expert_backend != type(config).model_fields["expert_backend"].default:
        yield "expert_backend"
    yield from config.router_rules


def _given(part: BaseModel, where: str, keys: Iterable[str], *, unless: float | None = None) -> Iterator[str]:
    """Those of the keys whose values are neither the default nor `unless`, after the name of their section."""
    for key in keys:
        if getattr(part, key) not in (type(part).model_fields[key].default, unless):
            yield f"{where}.{key}"
