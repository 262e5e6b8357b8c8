"""Writes a recommendation as text: a table, JSON, or a recipe to paste into a trainer."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, get_args

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.recipe import Recipe, Setting
from lrladder.benchmark.recommend.mistake import words as price_words
from lrladder.benchmark.recommend.study import Advice
from lrladder.benchmark.recommend.summary import FOLDED, summary
from lrladder.benchmark.recommend.trainers import deepspeed, megatron, torch, torchtitan, transformers
from lrladder.benchmark.recommend.tripwires import described

SCHEMA = "lrladder.recipe/1"
Format = Literal["text", "json", "torch", "deepspeed", "transformers", "megatron", "torchtitan"]
TRAINERS: dict[Format, Callable[[Advice, Recipe], str]] = {
    "torch": torch.recipe_text,
    "deepspeed": deepspeed.recipe_text,
    "transformers": transformers.recipe_text,
    "megatron": megatron.recipe_text,
    "torchtitan": torchtitan.recipe_text,
}
assert set(get_args(Format)) == {"text", "json", *TRAINERS}


def text(advice: Advice, form: Format) -> str:
    """The advice in one of the formats. Raises InputError if the format needs a recipe and there is none."""
    if form == "json":
        return json.dumps({"schema": SCHEMA, **advice.model_dump(mode="json")}, indent=2)
    if form == "text":
        return _table(advice)
    if advice.recipe is None:
        raise InputError(f"--format {form} needs the recipe by role: give --width and --depth instead of --n-active")
    return TRAINERS[form](advice, advice.recipe)


def _table(advice: Advice) -> str:
    """The answer as a table for people, the LRs first."""
    if advice.recipe is None:
        ratios = "".join(f", {ratio:g} times that for {role}" for role, ratio in advice.lr_ratios.items())
        whose = f"the matrices{ratios}" if ratios else "all parameters"
        how = "standard parametrization" if advice.parametrization == "sp" else advice.parametrization
        head = [f"LR {advice.lr:.4g} for {whose}, in {how}"]
    else:
        rows = [(s.kind, s.lr, s.weight_decay, s.eps, _start(s), s.forward) for s in advice.recipe.settings]
        names = ("set", "LR", "weight decay", "eps", "init std", "forward")
        head = [_row(names), *(_row([row[0], *map(_short, row[1:])]) for row in rows)]
        betas = f"AdamW betas {advice.recipe.beta1:g}, {advice.recipe.beta2:g}; clip {advice.recipe.grad_clip:g}"
        head += [FOLDED] if advice.folded else []
        paste = f"--format {', '.join(TRAINERS)}: to paste into a trainer, with the schedule"
        head += [f"{betas}; {advice.recipe.schedule}", paste]
    return "\n".join([*head, summary(advice), *_risk(advice), *(f"weak: {flag}" for flag in advice.flags)])


def _risk(advice: Advice) -> Iterator[str]:
    """What a mistake costs, and the bands that a healthy run stays in."""
    if advice.mistake is not None and advice.lr_high is not None:
        yield from price_words(advice.mistake, advice.lr_high, advice.lr)
    if advice.bands:
        yield from described(advice.bands)
        run = f"--n-active {advice.n_active} --tokens {advice.tokens} --arm {advice.arm}"
        yield f"`lrladder watch LOG --ladder STUDY {run}` checks the log of the run against these bands"


def _row(cells: Sequence[str]) -> str:
    return f"{cells[0]:<14}" + "".join(f"{cell:>13}" for cell in cells[1:])


def _start(setting: Setting) -> float | str:
    """The init std, or in words the value at which all entries start."""
    if setting.init_std is not None:
        return setting.init_std
    return "ones" if setting.start == 1 else f"all {setting.start:.4g}"


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
