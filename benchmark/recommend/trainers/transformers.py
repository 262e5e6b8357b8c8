"""The recipe for the Trainer of the transformers library, as Python code."""

import re

from lrladder.benchmark.hf.names import ENDS, IN_BLOCK, TIED
from lrladder.benchmark.lab.recipe import Recipe
from lrladder.benchmark.recommend.study import Advice
from lrladder.benchmark.recommend.trainers.code import (
    constants,
    heading,
    names_of,
    require_no_multipliers,
    schedule,
    sequences,
    table,
)
from lrladder.benchmark.recommend.trainers.torch import FUNCTIONS

_CODE = '''\
{heading}
import math
import re

import torch

{constants}
BATCH_SEQUENCES = {sequences}  # of {seq_len} tokens: per_device_train_batch_size * devices * accumulation steps
# LR before the schedule, PyTorch's weight decay, AdamW's eps, and the std of the initial weights (None: start at ones,
# or at `start`)
{table}
# Regular expressions for the names of the parameters
{names}

{schedule}


{functions}

def kinds(model):
    """The parameters of a model of transformers by kind, before it is wrapped or adapted.

    Refuses a head that is tied to the embedding where that of the recipe is not, and the reverse.
    """
    return by_name(model, {{kind: "|".join(patterns) for kind, patterns in NAMES.items()}})


def optimizers(model):
    """AdamW and the schedule, for Trainer(..., optimizers=optimizers(model))."""
    optimizer = torch.optim.AdamW(param_groups(kinds(model)), betas=BETAS)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


ARGUMENTS = {{"max_steps": TOKENS // BATCH_TOKENS, "max_grad_norm": GRAD_CLIP}}  # of TrainingArguments

# initialise(kinds(model))
# Trainer(model, TrainingArguments(..., **ARGUMENTS), optimizers=optimizers(model), ...)
# With FSDP, Trainer refuses `optimizers`: assign them in create_optimizer and create_scheduler of a subclass.
'''


def recipe_text(advice: Advice, recipe: Recipe) -> str:
    """The recipe as Python code. Raises InputError if a batch is not a whole number of sequences."""
    require_no_multipliers(recipe, trainer="transformers")
    return _CODE.format(
        heading=heading(advice, recipe),
        constants=constants(recipe),
        sequences=sequences(advice),
        seq_len=advice.sizes.seq_len if advice.sizes else None,
        table=table(recipe, "lr", "weight_decay", "eps", "init_std"),
        names=names_of(recipe, _names(), trainer="transformers"),
        schedule=schedule(advice),
        functions=FUNCTIONS.rstrip() + "\n",
    )


def _names() -> dict[str, tuple[str, ...]]:
    """Regular expressions for the names of the parameters of each kind."""
    found: dict[str, tuple[str, ...]] = {}
    for before, counterparts in ((r"^model\.layers\.\d+\.", IN_BLOCK), ("^", ENDS)):
        for counterpart in counterparts.values():
            patterns = tuple(f"{before}{re.escape(name)}$" for name in counterpart.theirs)
            found[counterpart.kind] = tuple(dict.fromkeys(found.get(counterpart.kind, ()) + patterns))
    return found | {TIED.kind: found["embedding"] + found["head"]}
