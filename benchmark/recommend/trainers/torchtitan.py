"""The recipe for torchtitan: the settings of its optimizers and of its LR schedule, as Python code.

It was read from and run on torchtitan 0.3.0. Its schedule counts whole steps. A decay of K of our steps is one of K + 1
of its steps, whose first one has the LR before the decay.
"""

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.recipe import Recipe
from lrladder.benchmark.recommend.study import Advice
from lrladder.benchmark.recommend.trainers.code import (
    constants,
    heading,
    names_of,
    require_no_multipliers,
    sequences,
    table,
)
from lrladder.benchmark.schedules import ScheduleConfig

NAMES = {
    "embedding": (r"^tok_embeddings\.weight$",),
    "attention_qkv": (r"\.attention\.(qkv_linear\.)?w(qkv|q|k|v)\.weight$",),
    "attention_out": (r"\.attention\.wo\.weight$",),
    "bias": (r"\.attention\.(qkv_linear\.)?w(qkv|q|k|v)\.bias$",),
    "router": (r"\.moe\.router\.gate\.weight$",),
    "expert_up": (r"\.moe\.routed_experts\.inner_experts\.w[13]_\w+$",),
    "expert_down": (r"\.moe\.routed_experts\.inner_experts\.w2_\w+$",),
    "shared_up": (r"\.moe\.shared_experts\.w[13]\.weight$",),
    "shared_down": (r"\.moe\.shared_experts\.w2\.weight$",),
    "dense_up": (r"\.feed_forward\.w[13]\.weight$",),
    "dense_down": (r"\.feed_forward\.w2\.weight$",),
    "norm_block": (r"^layers\..*norm\.weight$",),
    "norm_final": (r"^norm\.weight$",),
    "head": (r"^lm_head\.weight$",),
}

_CODE = """\
{heading}
from torchtitan.components.optimizer import LRSchedulersContainer, OptimizersContainer, ParamGroupConfig

{constants}
BATCH_SEQUENCES = {sequences}  # of {seq_len} tokens: TrainingConfig.global_batch_size
STEPS = {steps}  # TrainingConfig.steps
# LR before the schedule, PyTorch's weight decay, AdamW's eps, and the std of the initial weights (None: start at ones)
{table}
# Regular expressions for the names of the parameters
{names}

# TrainingConfig.max_norm is GRAD_CLIP. A model whose head is tied is refused: its head matches no parameter.
optimizer = OptimizersContainer.Config(
    param_groups=[
        ParamGroupConfig(
            pattern="|".join(NAMES[kind]),
            optimizer_name="AdamW",
            optimizer_kwargs={{"betas": BETAS, **{{key: one[key] for key in ("lr", "weight_decay", "eps")}}}},
        )
        for kind, one in RECIPE.items()
    ]
)
lr_scheduler = LRSchedulersContainer.Config(
    warmup_steps={warmup},
    total_steps=STEPS,
    decay_ratio={decay} / STEPS,  # D / T; the first step of its decay has the LR before the decay
    decay_type={shape!r},
    min_lr_factor={decay_to!r},
)
"""


def recipe_text(advice: Advice, recipe: Recipe) -> str:
    """The recipe as Python code.

    Raises InputError if a batch is not a whole number of sequences, or if torchtitan has no such schedule.
    """
    require_no_multipliers(recipe, trainer="torchtitan")
    assert advice.schedule is not None  # an advice with a recipe has it
    steps, warmup, decay = _in_steps(advice, advice.schedule)
    return _CODE.format(
        heading=heading(advice, recipe, "for torchtitan 0.3.0", *_rounded(advice, advice.schedule, warmup)),
        constants=constants(recipe),
        sequences=sequences(advice),
        seq_len=advice.sizes.seq_len if advice.sizes else None,
        steps=steps,
        table=table(recipe, "lr", "weight_decay", "eps", "init_std"),
        names=names_of(recipe, NAMES, trainer="torchtitan"),
        warmup=warmup,
        decay=decay,
        shape=advice.schedule.shape,
        decay_to=advice.schedule.decay_to,
    )


def _in_steps(advice: Advice, schedule: ScheduleConfig) -> tuple[int, int, int]:
    """Steps of the run, of its warm-up and of its decay, as torchtitan counts them."""
    if schedule.kind != "wsd" or schedule.shape == "exponential":
        what = f"{schedule.kind} schedule" if schedule.kind != "wsd" else f"{schedule.shape} decay"
        raise InputError(
            f"--format torchtitan: its LRSchedulersContainer has no {what} that is equal to the study's; take "
            "--format torch, whose `factor` is the lr_lambda of a scheduler of your own"
        )
    batch = advice.batch_tokens
    steps, warmup = advice.tokens // batch, max(1, round(schedule.warmup_tokens / batch))
    decay = steps - schedule.fall_start(steps * batch, batch) // batch + 1
    if warmup + decay > steps:
        raise InputError("--format torchtitan: the decay begins within the warm-up; take --format torch")
    return steps, warmup, decay


def _rounded(advice: Advice, schedule: ScheduleConfig, warmup: int) -> tuple[str, ...]:
    exact = schedule.warmup_tokens / advice.batch_tokens
    return () if exact == warmup else (f"warm-up: {exact:.4g} steps of the study, rounded to {warmup}",)
