"""The recipe for any trainer in torch, as Python code. The user says which names the kinds of parameters have."""

from lrladder.benchmark.hf.names import TIED
from lrladder.benchmark.lab.recipe import Recipe
from lrladder.benchmark.recommend.study import Advice
from lrladder.benchmark.recommend.trainers.code import constants, heading, schedule, table

_CODE = """\
{heading}
import math
import re

import torch

{constants}
# LR before the schedule, PyTorch's weight decay and eps for the optimizer; init_std (None: start at ones, or at
# `start`) and forward for the model: {readout}; attention_out and each kind
# of down add forward * W x to the residual stream. The router computes in fp32.
{table}

{schedule}


{functions}

# optimizer = torch.optim.AdamW(param_groups(by_name(model, {{{example}, ...}})), betas=BETAS)
# scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)  # each group's own LR times factor(step)
"""

FUNCTIONS = '''\
def param_groups(params):
    """{kind: parameters} -> groups for torch.optim.AdamW(groups, betas=BETAS); each kind must be one of RECIPE."""
    unknown = sorted(set(params) - set(RECIPE))
    if unknown:
        raise ValueError(f"no recipe for {unknown}; known: {list(RECIPE)}")
    keys = ("lr", "weight_decay", "eps")
    return [
        {"params": list(given), "name": kind, **{key: RECIPE[kind][key] for key in keys}}
        for kind, given in params.items()
    ]


def by_name(model, patterns):
    """{kind: regular expression} -> {kind: trained parameters}; each name must match one, and each kind of RECIPE."""
    first, params = {}, {kind: [] for kind in RECIPE}
    for name, param in model.named_parameters(remove_duplicate=False):
        if first.setdefault(param, name) != name and "tied" in RECIPE:
            continue
        if first[param] != name:
            raise ValueError(f"{first[param]} and {name} are one tensor: a head that is tied to the embedding, and "
                             "RECIPE is for an untied one; with transformers, set tie_word_embeddings=False")
        kinds = [kind for kind, pattern in patterns.items() if re.search(pattern, name)]
        if param.requires_grad and len(kinds) != 1:
            raise ValueError(f"{name} matches {kinds or 'no pattern'}; it must match exactly one")
        if param.requires_grad:
            params.setdefault(kinds[0], []).append(param)
    if len(params.get("tied", ())) > 1:
        raise ValueError("embedding and head are two tensors, and RECIPE is for a head that is tied to the embedding; "
                         "with transformers, set tie_word_embeddings=True")
    missing = [kind for kind, found in params.items() if not found]
    if missing:
        raise ValueError(f"no parameter is {missing}, which RECIPE has: is its pattern right, and the head not tied?")
    return params


def initialise(params):
    """Give {kind: parameters} the initial values that the LRs are for: normals cut at three stds, or one value."""
    for kind, given in params.items():
        std, start = RECIPE[kind]["init_std"], RECIPE[kind].get("start", 1.0)
        for param in given:
            if std:
                torch.nn.init.trunc_normal_(param, std=std, a=-3 * std, b=3 * std)
            else:
                torch.nn.init.constant_(param, start if std is None else 0.0)
'''


# By whether head and embedding are one matrix
_READOUT = {
    False: "the head computes forward * W x",
    True: "norm_final gives forward * its output, and `tied` is embedding and head",
}
_EXAMPLE = {False: '"head": r"^lm_head"', True: '"tied": r"embed_tokens|lm_head"'}


def recipe_text(advice: Advice, recipe: Recipe) -> str:
    """The recipe as Python code, with the multipliers of outputs if they are not folded in."""
    tied = any(setting.kind == TIED.kind for setting in recipe.settings)
    return _CODE.format(
        readout=_READOUT[tied],
        example=_EXAMPLE[tied],
        heading=heading(advice, recipe),
        constants=constants(recipe),
        table=table(recipe, "lr", "weight_decay", "eps", "init_std", "forward"),
        schedule=schedule(advice),
        functions=FUNCTIONS.rstrip(),
    )
