"""The values (init, LR, weight decay, eps) that a study's muTransfer rules set for each parameter of its models."""

import math
import re
from collections.abc import Iterator, Sequence

from rich.console import Console

from lrladder.benchmark.documents import Frozen
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.recipe import Recipe
from lrladder.benchmark.lab.resolve import planned
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.ladder import Rung
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.tables import WordTable
from lrladder.benchmark.training.recipe import kind_of, meta_model, trial_recipe
from lrladder.models.parameters import tag_of
from lrladder.paradigms.lab import Request

BLOCK = re.compile(r"blocks\.(\d+)\.(.*)")


class Parameter(Frozen):
    """The values of one parameter tensor. `init_std` is None if it starts at ones. `forward` multiplies its output."""

    name: str
    role: str
    shape: tuple[int, ...]
    init_std: float | None
    forward: float
    lr: float
    weight_decay: float
    eps: float


class Effective(Frozen):
    """The values of all parameters of one rung, at its longest horizon."""

    rung: str
    part: str
    batch_tokens: int
    tokens: int
    lr: float  # of the study; the rules multiply it to give the LR of each parameter
    token_factor: float
    beta1: float
    beta2: float
    tau_ema: float | None
    note: str
    parameters: tuple[Parameter, ...]


def effective(config: RegretConfig, *, rung: str | None = None, lr: float = 1.0) -> tuple[Effective, ...]:
    """For the proxy and each target and goal, or for one rung. Raises InputError for an invalid rung or LR."""
    if not 0 < lr < math.inf:
        raise InputError(f"--lr {lr}: give a finite number above 0")
    if rung is not None and rung not in {known.name for known in config.rungs}:
        names = ", ".join(known.name for known in config.rungs)
        raise InputError(f"--rung {rung}: {config.name} has no such rung; use one of {names}")
    proxy = config.base_rung_of("mup")
    wanted = [r for r in config.rungs if (r.name == rung if rung else r.part != "proxy" or r.name == proxy)]
    return tuple(_of_rung(config, found, lr) for found in wanted)


def _of_rung(config: RegretConfig, rung: Rung, lr: float) -> Effective:
    fitted = config.rules_of("mup").horizon == "fitted"
    exponent = 0.0 if fitted else None
    request = Request(rung.name, "mup", lr, 0, (max(rung.horizons),), exponent)
    (trial,) = planned(request, config)
    recipe = trial_recipe(trial, parametrization="mup")
    return Effective(
        rung=rung.name,
        part=rung.part,
        batch_tokens=rung.batch_tokens,
        tokens=recipe.tokens,
        lr=lr,
        token_factor=recipe.token_factor,
        beta1=recipe.beta1,
        beta2=recipe.beta2,
        tau_ema=recipe.tau_ema,
        note="the horizon exponent is known after the search; 0 is used here" if fitted else "",
        parameters=_parameters(trial, recipe),
    )


def _parameters(trial: Trial, recipe: Recipe) -> tuple[Parameter, ...]:
    settings = {setting.kind: setting for setting in recipe.settings}
    found = []
    for name, param in meta_model(trial).named_parameters():
        tag = tag_of(param, name)
        values = settings[kind_of(tag)].model_dump(include=set(Parameter.model_fields) - {"role"})
        found.append(Parameter(name=name, role=tag.role, shape=tuple(param.shape), **values))
    return tuple(found)


def render(found: Effective, console: Console) -> None:
    """Print a table. All blocks of a kind have the same values, so it shows only the first dense and routed ones."""
    tau = "none" if found.tau_ema is None else f"{found.tau_ema:.3g} of the run"
    console.print(
        f"{found.part} {found.rung}: {found.tokens:,} tokens in batches of {found.batch_tokens:,}; LR {found.lr:g}, "
        f"token factor {found.token_factor:.3g}, betas {found.beta1:.4g} {found.beta2:.4g}, tau_EMA {tau}"
    )
    if found.note:
        console.print(found.note)
    heads = ("parameter", "role", "shape", "init std", "forward", "LR", "weight decay", "eps")
    table = WordTable("What the rules set for each parameter", heads, left=2)
    for name, p in _shown(found.parameters):
        std = "ones" if p.init_std is None else f"{p.init_std:.4g}"
        values = (f"{p.forward:.4g}", f"{p.lr:.4g}", f"{p.weight_decay:.4g}", f"{p.eps:.3g}")
        table.add_row(name, p.role, "x".join(map(str, p.shape)), std, *values)
    console.print(table)


def _shown(parameters: Sequence[Parameter]) -> Iterator[tuple[str, Parameter]]:
    """Names for the table, with the blocks that one line stands for: those with the same parameters."""
    of_block: dict[str, list[str]] = {}
    for p in parameters:
        if match := BLOCK.match(p.name):
            of_block.setdefault(match[1], []).append(match[2])
    for p in parameters:
        match = BLOCK.match(p.name)
        alike = [block for block, names in of_block.items() if match and names == of_block[match[1]]]
        if not match:
            yield p.name, p
        elif match[1] == alike[0]:
            yield f"blocks.{'-'.join(dict.fromkeys((alike[0], alike[-1])))}.{match[2]}", p
