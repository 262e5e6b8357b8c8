"""Writes a recommendation as text: a table, Python for torch's parameter groups, a DeepSpeed config, or JSON."""

import json
from collections.abc import Iterator, Sequence
from typing import Literal

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.recipe import Recipe, Setting
from lrladder.benchmark.recommend.mistake import words as price_words
from lrladder.benchmark.recommend.schedule_code import schedule_code
from lrladder.benchmark.recommend.study import Advice
from lrladder.benchmark.recommend.tripwires import described

SCHEMA = "lrladder.recipe/1"
Format = Literal["text", "torch", "deepspeed", "json"]

FOLDED = (
    "The study's multipliers of outputs are folded into these values, for a model without any: initial std and LR times"
    " c, weight decay and eps over c. Training is the same but for the clip, whose global norm sees other gradients. "
    "--multipliers prints them apart."
)
NOTE = (
    "LR, weight decay and eps differ by role, which a DeepSpeed config cannot say: pass the groups of "
    "`lrladder recommend ... --format torch` as model_parameters of deepspeed.initialize; they override the defaults. "
    "No scheduler is configured: DeepSpeed's own write one LR into all groups. Pass "
    "torch.optim.lr_scheduler.LambdaLR with its `factor` as lr_scheduler, which scales each group's own LR."
)

_TORCH = '''\
{header}
import math
import re

BETAS = ({beta1!r}, {beta2!r})
GRAD_CLIP = {grad_clip!r}
# LR before the schedule, PyTorch's weight decay and eps for the optimizer; init_std (None: start at ones, or at the
# value `start` if it is there) and forward for the model: {readout}; attention_out and each kind of
# down add forward * W x to the residual stream. The router computes in fp32.
RECIPE = {{
{settings}
}}

{schedule}


def param_groups(params):
    """{{kind: parameters}} -> groups for torch.optim.AdamW(groups, betas=BETAS); each kind must be one of RECIPE."""
    unknown = sorted(set(params) - set(RECIPE))
    if unknown:
        raise ValueError(f"no recipe for {{unknown}}; known: {{list(RECIPE)}}")
    keys = ("lr", "weight_decay", "eps")
    return [
        {{"params": list(given), "name": kind, **{{key: RECIPE[kind][key] for key in keys}}}}
        for kind, given in params.items()
    ]


def by_name(model, patterns):
    """{{kind: regular expression}} -> {{kind: parameters}}; the name of each parameter must match exactly one."""
    params = {{}}
    for name, param in model.named_parameters():
        kinds = [kind for kind, pattern in patterns.items() if re.search(pattern, name)]
        if len(kinds) != 1:
            raise ValueError(f"{{name}} matches {{kinds or 'no pattern'}}; it must match exactly one")
        params.setdefault(kinds[0], []).append(param)
    absent = [kind for kind in RECIPE if kind not in params]
    if absent or len(params.get("tied", [0])) > 1:
        raise ValueError(f"{{absent or 'tied'}}: {head_words}")
    return params


# optimizer = torch.optim.AdamW(param_groups(by_name(model, {{{example}, ...}})), betas=BETAS)
# scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)  # each group's own LR times factor(step)
'''


def text(advice: Advice, form: Format) -> str:
    """The advice in one of the formats. Raises InputError if the format needs a recipe and there is none."""
    if form == "json":
        return json.dumps({"schema": SCHEMA, **advice.model_dump(mode="json")}, indent=2)
    if form == "text":
        return _table(advice)
    if advice.recipe is None:
        raise InputError(f"--format {form} needs the recipe by role: give --width and --depth instead of --n-active")
    return _torch(advice, advice.recipe) if form == "torch" else _deepspeed(advice, advice.recipe)


# By whether head and embedding are one matrix: what the pasted text says of them.
_READOUT = {
    False: "the head computes forward * W x",
    True: "norm_final computes forward * norm(x), and `tied` is embedding and head",
}
_HEAD_WORDS = {
    False: "each kind needs a parameter, and the recipe is for a head that is not tied to the embedding",
    True: "each kind needs a parameter, and the recipe is for a head that is the embedding's own matrix",
}
_EXAMPLE = {False: '"head": r"^lm_head"', True: '"tied": r"embed_tokens"'}


def summary(advice: Advice) -> str:
    """The request and the answer in one sentence."""
    return (
        f"{advice.paradigm} ({advice.why}): {_behind(advice)}, "
        f"for {advice.n_active:,} active parameters, {advice.tokens:,} tokens in batches of {advice.batch_tokens:,}; "
        f"{advice.extrapolation:.3g} times the FLOPs of the largest searched run"
    )


def _behind(advice: Advice) -> str:
    """The study's LR in words. With a recipe, the LRs to set are computed from it; else it is to be set itself."""
    lr = f"{advice.lr:.4g}{_interval(advice)}"
    return f"the rules make the LRs of the table from one LR, {lr}" if advice.recipe else f"LR {lr}"


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
        head += [f"{betas}; {advice.recipe.schedule}", "--format torch prints this to paste, with the schedule"]
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


def _torch(advice: Advice, recipe: Recipe) -> str:
    assert advice.schedule is not None  # an advice with a recipe has both
    assert advice.reference is not None
    weak = (f"weak: {flag}" for flag in advice.flags)
    folded = (FOLDED,) if advice.folded else ()
    lines = (summary(advice), *folded, _ratios(recipe), f"schedule: {recipe.schedule}", *weak)
    tied = any(setting.kind == "tied" for setting in recipe.settings)
    return _TORCH.format(
        readout=_READOUT[tied],
        head_words=_HEAD_WORDS[tied],
        example=_EXAMPLE[tied],
        header="\n".join(f"# {' '.join(line.split())}" for line in lines),
        beta1=recipe.beta1,
        beta2=recipe.beta2,
        grad_clip=recipe.grad_clip,
        settings="\n".join(f"    {setting.kind!r}: {_values(setting)!r}," for setting in recipe.settings),
        schedule=schedule_code(
            advice.schedule, tokens=advice.tokens, batch_tokens=advice.batch_tokens, at=advice.reference
        ),
    )


def _ratios(recipe: Recipe) -> str:
    ratios = ", ".join(f"{role} {ratio:g}" for role, ratio in recipe.lr_ratios.items())
    return f"the LRs below contain these multiples of the LR of the matrices at the base: {ratios}"


def _values(setting: Setting) -> dict[str, float | None]:
    return setting.model_dump(include={"lr", "weight_decay", "eps", "init_std", "forward", "start"})


def _deepspeed(advice: Advice, recipe: Recipe) -> str:
    assert advice.sizes is not None
    hidden = next(setting for setting in recipe.settings if setting.kind == "attention_qkv")
    defaults = {"lr": hidden.lr, "betas": [recipe.beta1, recipe.beta2], "eps": hidden.eps}
    config = {
        "train_batch_size": max(1, round(advice.batch_tokens / advice.sizes.seq_len)),
        "gradient_clipping": recipe.grad_clip,
        "optimizer": {"type": "AdamW", "params": {**defaults, "weight_decay": hidden.weight_decay}},
        "lrladder": {
            "note": NOTE,
            "summary": summary(advice),
            **({"folded": FOLDED} if advice.folded else {}),
            "flags": list(advice.flags),
            "lr_ratios": recipe.lr_ratios,
            "schedule": recipe.schedule,
            "sequence_length": advice.sizes.seq_len,
            "roles": {setting.kind: _values(setting) for setting in recipe.settings},
        },
    }
    return json.dumps(config, indent=2)


def _interval(advice: Advice) -> str:
    known = advice.lr_low is not None and advice.lr_high is not None
    return f" [{advice.lr_low:.4g}, {advice.lr_high:.4g}] (90%)" if known else " (no interval)"
