"""results.json: everything the report needs, and the contract for scripts. Documented in docs/results.md."""

from typing import Literal

from pydantic import Field

from lrladder.benchmark.documents import Frozen
from lrladder.benchmark.lab.recipe import Recipe
from lrladder.benchmark.studies.results import StudyResults
from lrladder.paradigms.lab import ParametrizationName, Part
from lrladder.paradigms.sweep.status import Status

SCHEMA = "lrladder.results/2"
LabName = Literal["trained", "simulated", "external", "mixed"]  # mixed: the runs of some parts are trained elsewhere


class CurveResult(Frozen):
    """Loss against ln lr at one rung and horizon: loss = minimum + curvature * (ln lr - ln lr_best)^2.

    `status`: interior (the fitted minimum is bracketed), bracketed (the lowest run lies between worse ones, but no
    parabola tells where the minimum is), edge, flat, or few. lr_best and its 90% interval are None unless the status is
    interior or bracketed, where they are the lowest run's and its neighbours; minimum and curvature, unless interior.
    """

    rung: str
    horizon: int
    parametrization: ParametrizationName
    status: Status
    n: int  # finished runs that entered the fit
    lr_best: float | None = None
    lr_low: float | None = None
    lr_high: float | None = None
    minimum: float | None = None
    curvature: float | None = None
    r2: float | None = None  # None where no degree of freedom is left
    sd_ln_lr: float | None = None  # standard deviation of ln lr_best
    flags: tuple[str, ...] = ()  # what weakens it, in words
    lrs_fitted: tuple[float, ...] = ()  # that the parabola was fitted to; empty unless interior, and in older results


class LawResult(Frozen):
    """lr* = k * N^-u * D^-v * B^w * A^s; the intervals are 90%, None where the design does not identify them.

    B is the batch in tokens and A the share of active parameters. N is counted as `size` says; with "flops" it is
    active parameters x tokens, and D has no factor of its own.
    """

    k: float
    u: float
    u_low: float | None
    u_high: float | None
    v: float
    v_low: float | None
    v_high: float | None
    n_points: int
    flags: tuple[str, ...] = ()
    size: Literal["active", "total", "flops"] = "active"
    w: float | None = None  # None: the law does not know the batch
    s: float | None = None  # None: nor the share of active parameters

    def lr(self, n_active: float, n_total: float, tokens: float, batch_tokens: float) -> float:
        """The best LR by the law."""
        n = {"active": n_active, "total": n_total, "flops": n_active * tokens}[self.size]
        of_tokens = 1.0 if self.size == "flops" else tokens**-self.v
        return float(
            self.k * n**-self.u * of_tokens * batch_tokens ** (self.w or 0.0) * (n_active / n_total) ** (self.s or 0.0)
        )


class LearningCurve(Frozen):
    """Training loss of one run of a proposal, on its way to its longest horizon."""

    rung: str
    entry: str
    seed: int
    tokens: tuple[int, ...]
    losses: tuple[float, ...]  # nats per token; of one batch, or a mean over the rows that a point stands for


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
    status: Status
    n_lrs: int
    n_seeds: int
    cost_flops: float


class ParadigmResult(Frozen):
    """One paradigm at one target. Losses and regrets in nats per token; all intervals 90%.

    regret (above the lowest oracle minimum) = lr_regret (above the minimum of its own parametrization and schedule)
    + parametrization_gap + schedule_gap. It is read over the seeds of the sweeps, `loss` over all validation seeds.
    """

    name: str
    parametrization: ParametrizationName
    lr: float  # that is trained
    lr_low: float | None  # None for a way of choosing that has no interval
    lr_high: float | None
    extrapolation: float
    lr_proposed: float | None = None  # before it was put on the sweeps' lattice; None where it was not
    loss: float | None
    n_seeds: int
    regret: float | None
    regret_low: float | None
    regret_high: float | None
    lr_regret: float | None
    lr_regret_low: float | None
    lr_regret_high: float | None
    parametrization_gap: float | None
    schedule_gap: float | None = None  # 0 where the best minimum is under its own schedule; None in older results
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


class DifferenceResult(Frozen):
    """Loss of `second` minus that of `first`, nats, mean over the validation seeds; 90% interval."""

    first: str
    second: str
    value: float
    low: float | None
    high: float | None


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
    conclusion: str  # who chooses best within each parametrization, which has the lower minimum, who wins; in words
    # The rest is empty in results of an older version.
    behind: tuple[str, ...] = ()  # where nobody wins: who is measurably worse than the best
    cheapest: str | None = None  # where nobody wins: the cheapest search of those that are not measurably worse
    smallest_difference: float | None = None  # nats that this study would have found in 80%
    differences: tuple[DifferenceResult, ...] = ()  # of every two that finished all seeds


class GoalAnswer(Frozen):
    """One entry's LR for a goal, with its 90% interval. Nothing was trained there, so it has no score."""

    name: str
    parametrization: ParametrizationName
    lr: float
    lr_low: float | None
    lr_high: float | None
    extrapolation: float  # FLOPs of a run at the goal / FLOPs of the largest searched run
    cost_flops: float  # its whole search
    cost_fraction: float  # search FLOPs / FLOPs of one run at this goal and horizon
    flags: tuple[str, ...] = ()
    horizon_exponent: float | None = None
    role_lrs: tuple[tuple[str, float], ...] = ()
    recipe: Recipe  # with the LR of each kind of parameter


class GoalResult(Frozen):
    """A model that the study answers for and never trains."""

    rung: str
    n_active: int
    n_total: int
    tokens: int
    batch_tokens: int
    run_flops: float  # one run at this goal and horizon
    answers: tuple[GoalAnswer, ...]
    silent: tuple[str, ...] = ()  # entries that cannot answer here, with their reasons


class EntryResult(Frozen):
    """One way of choosing an LR, as it competed, and what its search found."""

    name: str
    paradigm: str  # a shipped one, or package.module:Class
    parametrization: ParametrizationName  # of its proposals, with their schedule
    searched: ParametrizationName  # of its search
    budget: float | None = None  # runs of the largest target or goal that its search might cost; None: no limit
    searches_targets: bool | None = None  # whether its search ran the targets themselves; None: not known
    reason: str = ""  # why it proposed nothing
    law: LawResult | None = None  # what it fitted
    curves: tuple[CurveResult, ...] = ()  # what it learned from; empty in results of an older version


class RungResult(Frozen):
    name: str
    part: Part
    width: int
    depth: int
    num_experts: int
    top_k: int
    expert_width: int
    n_active: int
    n_total: int
    batch_tokens: int
    horizons: tuple[int, ...]
    continued: tuple[int, ...] = ()  # those among them to which runs go on at the LR of a shorter one
    flops_per_token: int


class RegretResults(StudyResults):
    schema_: str = SCHEMA
    lab: LabName = "trained"  # where the losses come from
    seed_noise: float | None  # standard deviation of the loss over seeds at one LR, nats: of runs near the best LR
    seed_noise_df: int
    seed_interaction: float | None = None  # of a seed's effect under one parametrization about its effect in all, nats
    seed_interaction_df: int = 0
    rungs: tuple[RungResult, ...]
    targets: tuple[TargetResult, ...]
    goals: tuple[GoalResult, ...] = ()  # empty in results of an older version
    curves: tuple[CurveResult, ...]
    law: LawResult | None  # of the first entry that fitted one under `sp`
    entries: tuple[EntryResult, ...] = ()  # in the order of the config; empty in results of an older version
    role_effects: tuple[RoleEffect, ...] = ()  # of a module-wise search and its ablation
    payers: dict[str, float]  # FLOPs charged by payer
    payer_seconds: dict[str, float] = Field(default_factory=dict)  # wall time of all runs that a payer is charged for
    learning_curves: tuple[LearningCurve, ...] = ()  # of the compared runs; empty where no logs are there
