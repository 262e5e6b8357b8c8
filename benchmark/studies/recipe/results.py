"""results.json of a study that tunes the base recipe, schema lrladder.base_recipe/1."""

from typing import Literal

from lrladder.benchmark.documents import Frozen
from lrladder.benchmark.studies.results import StudyResults

SCHEMA = "lrladder.base_recipe/1"
Status = Literal["bracketed", "flat", "edge", "not reached"]


class CurvePoint(Frozen):
    """One value of an ingredient, with the other ingredients at the values that they had then.

    `octaves` are counted from the old value; for beta2 they are octaves of 1 - beta2. `loss` is in nats, None if a seed
    diverged.
    """

    value: float
    octaves: float
    loss: float | None  # mean over the search seeds
    n: int  # seeds that finished
    sd: float | None  # over seeds; it contains the effect of a seed that all settings share


class IngredientResult(Frozen):
    """One ingredient, or two that move by the same octaves; then the values are those of the first.

    `low` and `high` are the nearest values that are worse than the best one by more than two sds of the difference.
    `worth` is the loss with the old value of this ingredient put back, minus the loss of the new recipe, in nats, with
    its 90% interval, on fresh seeds. It is None if the value did not change.
    """

    name: str
    moves: tuple[str, ...]
    old: float
    chosen: float
    status: Status
    low: float | None
    high: float | None
    curve: tuple[CurvePoint, ...]
    worth: float | None = None
    worth_low: float | None = None
    worth_high: float | None = None
    n_seeds: int = 0
    note: str = ""  # what weakens it


class TuningResults(StudyResults):
    """`gain` is the loss of the old recipe minus that of the new one, in nats, on `n_seeds` fresh seeds."""

    schema_: str = SCHEMA
    ingredients: tuple[IngredientResult, ...]
    old: dict[str, float]
    new: dict[str, float]
    old_loss: float | None  # means over the fresh seeds
    new_loss: float | None
    gain: float | None
    gain_low: float | None
    gain_high: float | None
    n_seeds: int
    noise: float | None  # sd of one run, nats, after the means of its setting and its seed are taken out
    noise_df: int
    passes: int
    stopped: str  # why the search stopped before it was settled; empty if it was settled
    search_runs: int  # of the base
    last_runs: int  # of the final comparison, on fresh seeds
    budget: int
    base_flops: float  # of one run
    flops: float  # of all runs
    fragment: str  # the new recipe as YAML, to be pasted into a config
