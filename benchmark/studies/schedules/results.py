"""results.json of a study of schedules, schema lrladder.power/2. docs/results.md documents it."""

from typing import Literal

from lrladder.benchmark.documents import Frozen
from lrladder.benchmark.studies.results import StudyResults
from lrladder.benchmark.studies.schedules.config import ScheduleName
from lrladder.paradigms.sweep.status import Status

SCHEMA = "lrladder.power/2"


class CellResult(Frozen):
    """The LR sweep of one schedule at one model, batch and horizon.

    lr_best and its interval are None unless the status is interior or bracketed. loss, one_loss and regret are None
    unless it is interior.
    LRs are before the rules, at the base size of the family. Power's LR is its value at the base batch and the shortest
    horizon. `one_loss`: the loss at the one setting of the schedule, taken from the sweep. `regret` = one_loss - loss,
    in nats, with 90% interval.
    """

    family: str
    rung: str
    n_active: int
    batch_tokens: int
    tokens: int
    schedule: ScheduleName
    status: Status
    n: int
    n_diverged: int
    lr_best: float | None = None
    lr_low: float | None = None
    lr_high: float | None = None
    sd_ln_lr: float | None = None
    loss: float | None = None
    one_loss: float | None = None
    regret: float | None = None
    regret_low: float | None = None
    regret_high: float | None = None
    flags: tuple[str, ...] = ()


Scope = Literal["all", "base batch", "other batches"]


class Setting(Frozen):
    """One LR setting of a schedule, chosen at the smallest cell of the family, and the cost of not tuning it again.

    Regrets are over all cells of the scope except the smallest: mean with 90% interval, and the worst. At the base
    batch only tokens and size differ. `tokens_share`: tokens to evaluate all horizons at one batch / tokens of separate
    runs.
    """

    family: str
    schedule: ScheduleName
    scope: Scope
    lr: float | None
    a: float | None  # only power: eta / beta = a T^b, per sequence of 4,096 tokens
    n_cells: int
    n_untold: int  # cells without a regret: not bracketed, or the sweep does not reach the setting
    mean_regret: float | None
    mean_low: float | None
    mean_high: float | None
    worst_regret: float | None
    worst_cell: str
    tokens_share: float


class Against(Frozen):
    """Loss of a schedule minus that of WSD at the same cells, in nats; both `tuned` per cell or at one setting."""

    family: str
    schedule: ScheduleName
    tuned: bool
    n_cells: int
    mean: float | None
    low: float | None
    high: float | None


class Coefficient(Frozen):
    """A fitted coefficient with its 90% interval, which is None if it could not be computed."""

    value: float
    low: float | None
    high: float | None


class LawFit(Frozen):
    """eta = a beta^w T^b N^s, with beta in sequences of 4,096 tokens. `by`: the paper's procedure or a regression."""

    family: str
    by: Literal["paper", "regression"]
    a: Coefficient
    b: Coefficient
    w: Coefficient
    s: Coefficient
    n: int
    dof: int
    residual_sd: float | None  # of ln lr
    flags: tuple[str, ...]


class SchedulesResults(StudyResults):
    """The results.json of a study of kind `power`."""

    schema_: str = SCHEMA
    noise: float | None  # sd of a loss about its fitted curve, pooled over curves, nats
    noise_df: int
    cells: tuple[CellResult, ...]
    settings: tuple[Setting, ...]
    against_wsd: tuple[Against, ...]
    fits: tuple[LawFit, ...]
    flops: float
