"""The recipe for megatron-core: overrides of its parameter groups, and its scheduler, as Python code.

It was read from and run on megatron-core 0.16.1. In its checkpoints, parameter groups are told apart by a few keys,
which do not include the LR (megatron/core/optimizer/optimizer.py, param_group_identifier_keys). If groups agree in
these keys, a run that resumes fails, or with the distributed optimizer gives all of them the settings of one. So each
kind has its own `lr_mult`, a key that is among these and that nothing else reads.
"""

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

# Of megatron-core's GPTModel: its own layers, those of Transformer Engine, and experts as a list or grouped
NAMES = {
    "embedding": ("*embedding.word_embeddings.weight",),
    "attention_qkv": ("*.self_attention.linear_qkv.weight",),
    "attention_out": ("*.self_attention.linear_proj.weight",),
    "bias": ("*.self_attention.linear_qkv.bias",),
    "router": ("*.mlp.router.weight",),
    "expert_up": (
        "*.experts.local_experts.*.linear_fc1.weight",
        "*.mlp.experts.linear_fc1.weight*",
        "*.mlp.experts.weight1",
    ),
    "expert_down": (
        "*.experts.local_experts.*.linear_fc2.weight",
        "*.mlp.experts.linear_fc2.weight*",
        "*.mlp.experts.weight2",
    ),
    "shared_up": ("*.mlp.shared_experts.linear_fc1.weight",),
    "shared_down": ("*.mlp.shared_experts.linear_fc2.weight",),
    "dense_up": ("*.mlp.linear_fc1.weight",),
    "dense_down": ("*.mlp.linear_fc2.weight",),
    "norm_block": ("*layers.*layernorm.weight", "*layers.*.layer_norm_weight"),
    "norm_final": ("*final_layernorm.weight",),
    "head": ("*output_layer.weight",),
}

_CODE = '''\
{heading}
import math
from fnmatch import fnmatch

from megatron.core.optimizer.optimizer_config import OptimizerConfig, ParamKey
from megatron.core.optimizer_param_scheduler import OptimizerParamScheduler, ParamGroupOverride

{constants}
BATCH_SEQUENCES = {sequences}  # of {seq_len} tokens: the global batch size
# LR before the schedule, PyTorch's weight decay, Adam's eps, and the std of the initial weights (None: start at ones)
{table}
# Names of the parameters, as ParamKey matches them
{names}

{schedule}


def optimizer_config(**more):
    """The OptimizerConfig, without what the recipe says nothing of, such as bf16."""
    one = RECIPE["attention_qkv"]
    adam = {{"adam_beta1": BETAS[0], "adam_beta2": BETAS[1], "adam_eps": one["eps"], "decoupled_weight_decay": True}}
    base = {{"lr": one["lr"], "min_lr": 0.0, "weight_decay": one["weight_decay"], "clip_grad": GRAD_CLIP}}
    return OptimizerConfig(optimizer="adam", **base, **adam, **more)


def overrides(model_chunks):
    """LR, weight decay and eps by kind: get_megatron_optimizer(config, model_chunks, overrides(model_chunks)).

    Refuses a tied head, and a parameter that has no kind. `lr_mult` changes no LR. It tells the groups apart in a
    checkpoint, which megatron-core 0.16 does not do by their LRs: without it, a resumed run fails or mixes them up.
    """
    for chunk in model_chunks:
        if any(getattr(module, "share_embeddings_and_output_weights", False) for module in chunk.modules()):
            raise ValueError("the head is tied to the embedding, and RECIPE is for an untied one: "
                             "set share_embeddings_and_output_weights=False")
        for name, param in chunk.named_parameters():
            kinds = [kind for kind, patterns in NAMES.items() if any(fnmatch(name, one) for one in patterns)]
            if param.requires_grad and len(kinds) != 1:
                raise ValueError(f"{{name}} matches {{kinds or 'no name in NAMES'}}; it must match exactly one")
    return {{
        ParamKey(name=NAMES[kind]): ParamGroupOverride(
            max_lr=one["lr"],
            start_wd=one["weight_decay"],
            end_wd=one["weight_decay"],
            eps=one["eps"],
            lr_mult=float(number),
            default_config=kind == "attention_qkv",  # the LR that Megatron-LM's training loop logs
        )
        for number, (kind, one) in enumerate(RECIPE.items(), 1)
    }}


class Schedule(OptimizerParamScheduler):
    """Sets the LR of the step to come; Megatron's own schedules are a step behind, and begin with an LR of 0."""

    def get_lr(self, param_group):
        return param_group["max_lr"] * factor(self.num_steps // BATCH_SEQUENCES)


def scheduler(optimizer):
    """Call its step(increment=BATCH_SEQUENCES) after each training step, as Megatron-LM's training loop does.

    The arguments on warm-up and decay are not used: `factor` has both.
    """
    length = TOKENS // BATCH_TOKENS * BATCH_SEQUENCES
    unused = {{"init_lr": 0.0, "min_lr": 0.0, "lr_warmup_steps": 0, "lr_decay_steps": length}}
    decay = {{"start_wd": 0.0, "end_wd": 0.0, "wd_incr_steps": length, "wd_incr_style": "constant"}}  # groups have own
    return Schedule(optimizer, max_lr=RECIPE["attention_qkv"]["lr"], lr_decay_style="constant", **unused, **decay)
'''


def recipe_text(advice: Advice, recipe: Recipe) -> str:
    """The recipe as Python code. Raises InputError if a batch is not a whole number of sequences."""
    require_no_multipliers(recipe, trainer="megatron")
    return _CODE.format(
        heading=heading(advice, recipe, "for megatron-core 0.16.1"),
        constants=constants(recipe),
        sequences=sequences(advice),
        seq_len=advice.sizes.seq_len if advice.sizes else None,
        table=table(recipe, "lr", "weight_decay", "eps", "init_std"),
        names=names_of(recipe, NAMES, trainer="megatron"),
        schedule=schedule(advice),
    )
