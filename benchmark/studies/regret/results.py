"""results.json: everything the report needs, and the contract for scripts. Documented in docs/results.md."""

from typing import Literal

from lrladder.benchmark.documents import Document, Frozen
from lrladder.benchmark.lab.recipe import Recipe
from lrladder.benchmark.studies.counts import TrialCounts
from lrladder.paradigms.lab import Measurement, ParametrizationName

SCHEMA = "lrladder.results/1"
SIMULATED = (
    "SIMULATED: losses come from a known law plus noise; nothing was trained and nothing is said of real models."
)


class CurveResult(Frozen):
    """Loss against ln lr at one rung and horizon: loss = minimum + curvature * (ln lr - ln lr_best)^2.

    `status`: interior (the fitted minimum is bracketed), edge, flat, or few (under three finished LRs).
    lr_best, its 90% interval, minimum and curvature are None unless the status is interior.
    """

    rung: str
    horizon: int
    parametrization: ParametrizationName
    status: Literal["interior", "bracketed", "edge", "flat", "few"]
    n: int  # finished runs that entered the fit
    lr_best: float | None = None
    lr_low: float | None = None
    lr_high: float | None = None
    minimum: float | None = None
    curvature: float | None = None
    r2: float | None = None  # None where no degree of freedom is left
    sd_ln_lr: float | None = None  # standard deviation of ln lr_best
    flags: tuple[str, ...] = ()  # what weakens it, in words


class LawResult(Frozen):
    """lr* = k * N_active^-u * D^-v; the intervals are 90%, None where the design does not identify them."""

    k: float
    u: float
    u_low: float | None
    u_high: float | None
    v: float
    v_low: float | None
    v_high: float | None
    n_points: int
    flags: tuple[str, ...] = ()


class RoleEffect(Frozen):
    """What multiplying the LR of one role does to the loss: nats, mean over seeds, 90% interval of the rung's noise."""

    rung: str
    horizon: int
    role: str
    factor: float
    others: tuple[tuple[str, float], ...]  # multipliers that were in place on both sides
    change: float | None  # None where a run diverged with the multiplier
    low: float | None
    high: float | None
    n_seeds: int


class OracleResult(Frozen):
    """Best of one parametrization at a target, from a sweep there with every validation seed."""

    lr: float | None
    lr_low: float | None
    lr_high: float | None
    loss: float | None  # fitted minimum, nats, mean over seeds
    status: Literal["interior", "bracketed", "edge", "flat", "few"]
    n_lrs: int
    n_seeds: int
    cost_flops: float


class ParadigmResult(Frozen):
    """One paradigm at one target. Losses and regrets in nats per token; all intervals 90%.

    regret = loss - best oracle minimum over parametrizations = lr_regret (against its own parametrization's oracle)
    + parametrization_gap (its own oracle against the best one).
    """

    name: str
    parametrization: ParametrizationName
    lr: float
    lr_low: float
    lr_high: float
    extrapolation: float
    loss: float | None
    n_seeds: int
    regret: float | None
    regret_low: float | None
    regret_high: float | None
    lr_regret: float | None
    lr_regret_low: float | None
    lr_regret_high: float | None
    parametrization_gap: float | None
    cost_flops: float  # its whole search, charged once to all targets
    cost_fraction: float  # search FLOPs / FLOPs of one run at this target and horizon
    diverged: int
    flags: tuple[str, ...] = ()
    horizon_exponent: float | None = None  # of tokens, where the study fits its horizon rule
    role_lrs: tuple[tuple[str, float], ...] = ()  # LR multipliers of whole roles beyond the rules
    recipe: Recipe | None = None  # None in results of an older version

    def same_as(self, other: "ParadigmResult") -> bool:
        """Whether both propose the same runs."""
        ours, theirs = ((p.parametrization, p.lr, sorted(p.role_lrs)) for p in (self, other))
        return ours == theirs


class TargetResult(Frozen):
    rung: str
    n_active: int
    n_total: int
    tokens: int
    batch_tokens: int
    run_flops: float  # one run at this rung and horizon
    oracle: dict[str, OracleResult]  # by parametrization
    paradigms: tuple[ParadigmResult, ...]
    winner: str | None  # None: no winner outside the seed noise
    verdict: str  # one sentence


class RungResult(Frozen):
    name: str
    part: Literal["proxy", "target"]
    width: int
    depth: int
    num_experts: int
    top_k: int
    expert_width: int
    n_active: int
    n_total: int
    batch_tokens: int
    horizons: tuple[int, ...]
    flops_per_token: int


class Results(Document):
    schema_: str = SCHEMA
    preset: str
    lab: Literal["trained", "simulated"] = "trained"  # where the losses come from
    config_digest: str
    corpus_digest: str
    complete: bool  # False: interrupted or partial; `missing` says what
    missing: tuple[str, ...]
    trials: TrialCounts
    seed_noise: float | None  # pooled standard deviation of the loss over seeds at one LR, nats
    seed_noise_df: int
    rungs: tuple[RungResult, ...]
    targets: tuple[TargetResult, ...]
    curves: tuple[CurveResult, ...]
    law: LawResult | None
    role_effects: tuple[RoleEffect, ...] = ()  # of a module-wise search and its ablation
    measurements: tuple[Measurement, ...]
    payers: dict[str, float]  # FLOPs charged by payer
    config: dict[str, object]
    corpus: dict[str, object]  # digest, tokens, files, source
    environment: dict[str, str]  # versions and hardware
