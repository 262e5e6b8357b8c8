"""results.json of a drift study, schema lrladder.axes/1. Documented in docs/axes.md."""

from typing import Literal

from lrladder.benchmark.documents import Document, Frozen
from lrladder.benchmark.studies.counts import TrialCounts
from lrladder.benchmark.studies.drift.config import AxisName
from lrladder.paradigms.lab import Measurement

SCHEMA = "lrladder.axes/1"
Verdict = Literal["holds", "does not hold", "not decided"]
Against = Literal["less", "more", "no difference seen"]


class PointResult(Frozen):
    """The LR sweep at one value of an axis. Best LR and interval (90%) are None unless the status is interior."""

    value: int
    ratio: float  # to the base
    rung: str
    horizon: int
    status: Literal["interior", "bracketed", "edge", "flat", "few"]
    n: int  # finished runs that entered the fit
    n_diverged: int
    lr_best: float | None = None
    lr_low: float | None = None
    lr_high: float | None = None
    sd_ln_lr: float | None = None
    minimum: float | None = None  # nats per token
    curvature: float | None = None
    flags: tuple[str, ...] = ()


class VariantResult(Frozen):
    """One axis under one set of rules. Drift in octaves of the best LR per doubling of the axis, interval 90%."""

    name: str
    parametrization: str
    rules: dict[str, object]
    points: tuple[PointResult, ...]
    drift: float | None = None
    drift_low: float | None = None
    drift_high: float | None = None
    at_base: float | None = None  # log2 of the fitted best LR at the base
    n_optima: int = 0
    verdict: Verdict = "not decided"
    against_off: Against | None = None  # whether its best LR moves less than without the rule; None for "off"
    loss_change: float | None = None  # fitted minimum at the largest value minus that of "off", nats; None for "off"
    loss_change_low: float | None = None
    loss_change_high: float | None = None


class AxisResult(Frozen):
    axis: AxisName
    expected: float  # octaves per doubling without a rule, as published
    expected_source: str
    variants: tuple[VariantResult, ...]
    sentence: str


class AxesResults(Document):
    schema_: str = SCHEMA
    preset: str
    config_digest: str
    corpus_digest: str
    complete: bool
    missing: tuple[str, ...]
    trials: TrialCounts
    holds_within: float
    axes: tuple[AxisResult, ...]
    measurements: tuple[Measurement, ...]
    flops: float
    config: dict[str, object]
    corpus: dict[str, object]
    environment: dict[str, str]
