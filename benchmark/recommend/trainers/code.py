"""What all recipes in Python have in common: the heading, the table of settings, and the schedule."""

from collections.abc import Mapping

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.recipe import Recipe, Setting
from lrladder.benchmark.recommend.schedule_code import schedule_code
from lrladder.benchmark.recommend.study import Advice
from lrladder.benchmark.recommend.summary import FOLDED, summary


def heading(advice: Advice, recipe: Recipe, *notes: str) -> str:
    """Comments: the request, the answer, what weakens it, and notes on the trainer."""
    ratios = ", ".join(f"{role} {ratio:g}" for role, ratio in recipe.lr_ratios.items())
    contained = f"the LRs below contain these multiples of the LR of the matrices at the base: {ratios}"
    weak = (f"weak: {flag}" for flag in advice.flags)
    folded = (FOLDED,) if advice.folded else ()
    lines = (summary(advice), *folded, contained, f"schedule: {recipe.schedule}", *weak, *notes)
    return "\n".join(f"# {' '.join(line.split())}" for line in lines)


def constants(recipe: Recipe) -> str:
    """Betas and clip as Python code."""
    return f"BETAS = ({recipe.beta1!r}, {recipe.beta2!r})\nGRAD_CLIP = {recipe.grad_clip!r}"


def table(recipe: Recipe, *keys: str) -> str:
    """The settings of each kind as a dict in Python code."""
    rows = "\n".join(f"    {setting.kind!r}: {_values(setting, keys)!r}," for setting in recipe.settings)
    return f"RECIPE = {{\n{rows}\n}}"


def _values(setting: Setting, keys: tuple[str, ...]) -> dict[str, float | None]:
    """Of the keys, and the value at which the parameter starts if that is neither drawn nor 1."""
    return setting.model_dump(include={*keys, "start"})


def schedule(advice: Advice) -> str:
    """The schedule as Python code: `factor(step)` and constants."""
    assert advice.schedule is not None  # an advice with a recipe has both
    assert advice.reference is not None
    return schedule_code(advice.schedule, tokens=advice.tokens, batch_tokens=advice.batch_tokens, at=advice.reference)


def names_of(recipe: Recipe, names: Mapping[str, tuple[str, ...]], *, trainer: str) -> str:
    """The names of the parameters of each kind as a dict in Python code. Raises InputError if a kind has none."""
    missing = [setting.kind for setting in recipe.settings if setting.kind not in names]
    if missing:
        raise InputError(
            f"--format {trainer}: it names no parameter of the kind {missing[0]}; take --format torch, with your names"
        )
    rows = "\n".join(f"    {setting.kind!r}: {names[setting.kind]!r}," for setting in recipe.settings)
    return f"NAMES = {{\n{rows}\n}}"


def require_no_multipliers(recipe: Recipe, *, trainer: str) -> None:
    """Raise InputError, with the remedy, for a recipe that presupposes multipliers of outputs."""
    if recipe.has_multipliers:
        raise InputError(f"--format {trainer}: its models have no multipliers of outputs; leave out --multipliers")


def sequences(advice: Advice) -> int:
    """Sequences of one step. Raises InputError, with a remedy, if they are not a whole number."""
    assert advice.sizes is not None  # an advice with a recipe has sizes
    count, rest = divmod(advice.batch_tokens, advice.sizes.seq_len)
    if rest:
        near = max(1, round(advice.batch_tokens / advice.sizes.seq_len)) * advice.sizes.seq_len
        raise InputError(
            f"--batch-tokens {advice.batch_tokens:,} is not a whole number of sequences of {advice.sizes.seq_len:,} "
            f"tokens, in which this trainer counts its batch; give --batch-tokens {near}, or your --seq-len"
        )
    return count
