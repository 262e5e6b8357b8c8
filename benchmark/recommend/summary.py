"""The request and the answer in words, as every format of a recommendation says them."""

from lrladder.benchmark.recommend.study import Advice

FOLDED = (
    "The study's multipliers of outputs are folded into these values, for a model without any: initial std and LR times"
    " c, weight decay and eps over c. Training is the same but for the clip, whose global norm sees other gradients. "
    "--multipliers prints them apart."
)


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


def _interval(advice: Advice) -> str:
    known = advice.lr_low is not None and advice.lr_high is not None
    return f" [{advice.lr_low:.4g}, {advice.lr_high:.4g}] (90%)" if known else " (no interval)"
