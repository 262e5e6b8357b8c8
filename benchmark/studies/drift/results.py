"""results.json of a drift study, schema lrladder.axes/2. docs/axes.md documents it."""

from typing import Literal

from lrladder.benchmark.documents import Frozen
from lrladder.benchmark.studies.drift.config import AxisName
from lrladder.benchmark.studies.results import StudyResults
from lrladder.paradigms.sweep.status import Status

SCHEMA = "lrladder.axes/2"
Finding = Literal["holds", "does not hold", "not decided"]
Against = Literal["less", "more", "no difference seen"]
DecayAnswer = Literal["steeper", "less steep", "not decided"]  # the drift at a shorter decay


class PointResult(Frozen):
    """The LR sweep at one value of an axis.

    The best LR and its interval are None unless the status is interior or bracketed. The interval is 90% for interior,
    and the two neighbours of the lowest run for bracketed. minimum and curvature are None unless it is interior.
    """

    value: int
    ratio: float  # to the base
    rung: str
    horizon: int
    status: Status
    n: int  # number of finished runs in the fit
    n_diverged: int
    lr_best: float | None = None
    lr_low: float | None = None
    lr_high: float | None = None
    sd_ln_lr: float | None = None
    minimum: float | None = None  # nats per token
    curvature: float | None = None
    flags: tuple[str, ...] = ()


class VariantResult(Frozen):
    """One axis under one set of rules. Drift is in octaves of the best LR per doubling of the axis (90% interval)."""

    name: str
    parametrization: str
    rules: dict[str, object]
    points: tuple[PointResult, ...]
    drift: float | None = None
    drift_low: float | None = None
    drift_high: float | None = None
    at_base: float | None = None  # log2 of the fitted best LR at the base
    n_optima: int = 0
    finding: Finding = "not decided"
    against_off: Against | None = None  # whether its best LR moves less than without the rule; None for "off"
    loss_change: float | None = None  # fitted minimum at the largest value minus that of "off", nats; None for "off"
    loss_change_low: float | None = None
    loss_change_high: float | None = None

    @property
    def drift_words(self) -> str:
        """The drift, which must be known, with its interval."""
        return f"{self.drift:+.2f} [{self.drift_low:+.2f}, {self.drift_high:+.2f}]"


class DecayPoint(Frozen):
    """A variant whose runs decay over `fraction` of their horizon. Drift in octaves per doubling of the axis, 90%."""

    variant: str
    fraction: float
    drift: float
    low: float
    high: float
    n_optima: int
    n_runs: int  # finished runs in the fits of these optima


class DecayResult(Frozen):
    """The drift without a rule against the decay fraction: drift = at_whole + slope * log2(fraction)."""

    points: tuple[DecayPoint, ...]  # by fraction
    slope: float  # octaves per doubling of the axis, and per doubling of the decay fraction; 90% interval
    slope_low: float
    slope_high: float
    at_whole: float  # the line's drift at a decay over the whole run
    answer: DecayAnswer
    sentence: str


class AxisResult(Frozen):
    """One axis: all its variants, and their findings in words."""

    axis: AxisName
    expected: float  # octaves per doubling without a rule, as published
    expected_source: str
    variants: tuple[VariantResult, ...]
    sentence: str
    decay: DecayResult | None = None  # where variants differ in their decay fraction; None in older results


class DriftResults(StudyResults):
    """The whole of results.json. `holds_within` is the limit of a finding, in octaves per doubling."""

    schema_: str = SCHEMA
    holds_within: float
    axes: tuple[AxisResult, ...]
    flops: float
