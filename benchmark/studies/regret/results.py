"""The schema of results.json of a regret study, from which the report is written. docs/results.md documents it."""

from typing import Any, Literal

from pydantic import Field

from lrladder.benchmark.documents import Frozen
from lrladder.benchmark.lab.recipe import Recipe
from lrladder.benchmark.ladder import Rung
from lrladder.benchmark.studies.results import StudyResults
from lrladder.paradigms.lab import ParametrizationName, Part
from lrladder.paradigms.sweep.status import Status

SCHEMA = "lrladder.results/2"
LabName = Literal["trained", "simulated", "external", "mixed"]  # mixed: the runs of some parts are trained elsewhere


class CurveResult(Frozen):
    """Loss against ln lr at one rung and horizon: loss = minimum + curvature * (ln lr - ln lr_best)^2.

    `status`: interior (the fitted minimum lies inside the sweep), bracketed (the lowest run lies between worse ones,
    but no parabola fits), edge (the best LR is at the end of the sweep), flat (the losses do not tell one LR from
    another), or few (too few runs finished).

    If the status is interior, lr_best is that of the fitted minimum, with a 90% interval. If it is bracketed, lr_best
    is that of the lowest run, and lr_low and lr_high are its neighbours. Otherwise they are None. minimum (nats per
    token) and curvature are None unless the status is interior.
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
    flags: tuple[str, ...] = ()  # what weakens the fit, in words
    lrs_fitted: tuple[
        float, ...
    ] = ()  # LRs that the parabola was fitted to; empty unless interior, or in older results


class LawResult(Frozen):
    """A fitted law of the best LR: lr* = k * N^-u * D^-v * B^w * A^s.

    N is the size of the model, D the number of training tokens, B the batch in tokens, and A the share of active
    parameters. `size` says how N is counted. With "flops" it is active parameters x tokens, and D has no factor.
    Intervals are 90%; they are None if the cells that were searched do not determine the exponent.
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
    w: float | None = None  # None: the law does not depend on the batch
    s: float | None = None  # None: the law does not depend on the share of active parameters

    def lr(self, n_active: float, n_total: float, tokens: float, batch_tokens: float) -> float:
        """The best LR by the law. `n_active` and `n_total` count parameters; `tokens` is the horizon."""
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
    losses: tuple[float, ...]  # nats per token; of one batch, or the mean over the batches that a point stands for


class RoleEffect(Frozen):
    """How the loss changes if the LR of one role is multiplied by `factor`, at one rung and horizon.

    `change` is in nats per token, the mean over `n_seeds` seeds. Its 90% interval, `low` to `high`, is from the noise
    over seeds at this rung.
    """

    rung: str
    horizon: int
    role: str
    factor: float
    others: tuple[tuple[str, float], ...]  # multipliers of other roles that both compared runs had
    change: float | None  # None if one of the runs diverged
    low: float | None
    high: float | None
    n_seeds: int


class OracleResult(Frozen):
    """The best LR of one arm at a target, from the oracle's sweep there with the seeds of the sweeps.

    `lr` and `loss` are those of the fitted minimum. If none could be fitted, they are the best that was measured.
    """

    lr: float | None
    lr_low: float | None
    lr_high: float | None
    loss: float | None  # nats per token, mean over seeds
    status: Status
    n_lrs: int
    n_seeds: int
    cost_flops: float


class ParadigmResult(Frozen):
    """The score of one entry at one target and horizon. Losses and regrets are in nats per token, intervals are 90%.

    regret (loss above the lowest minimum of all oracles) = lr_regret (loss above the minimum of the oracle with the
    same parametrization and schedule) + parametrization_gap + schedule_gap. Regrets use the seeds of the oracle's
    sweeps. `loss` is the mean over all validation seeds.
    """

    name: str
    parametrization: ParametrizationName
    lr: float  # the LR at which the proposal was trained
    lr_low: float | None  # None if the paradigm gives no interval
    lr_high: float | None
    extrapolation: float  # FLOPs of a run at the target / FLOPs of the largest searched run
    lr_proposed: float | None = None  # the LR before it was moved to the lattice; None if it was not moved
    loss: float | None
    n_seeds: int
    regret: float | None
    regret_low: float | None
    regret_high: float | None
    lr_regret: float | None
    lr_regret_low: float | None
    lr_regret_high: float | None
    parametrization_gap: float | None
    schedule_gap: float | None = None  # 0 if the lowest minimum has the same schedule; None in older results
    cost_flops: float  # of its whole search, which serves all targets
    cost_fraction: float  # search FLOPs / FLOPs of one run at this target and horizon
    diverged: int  # number of seeds with which its run diverged
    flags: tuple[str, ...] = ()
    horizon_exponent: float | None = None  # of tokens, if the study fits its horizon rule
    role_lrs: tuple[tuple[str, float], ...] = ()  # (role, factor on its LR), applied beyond the rules
    recipe: Recipe | None = None  # None in results of an older version

    def same_as(self, other: "ParadigmResult") -> bool:
        """Whether both entries propose the same training runs."""
        ours, theirs = ((p.parametrization, p.lr, sorted(p.role_lrs)) for p in (self, other))
        return ours == theirs


class DifferenceResult(Frozen):
    """Loss of `second` minus that of `first`, nats, mean over the validation seeds; 90% interval."""

    first: str
    second: str
    value: float
    low: float | None
    high: float | None


class NextRunsResult(Frozen):
    """More seeds of entries that are not told apart, the best first, with which 80% of studies would name it.

    The losses are taken to differ as they were measured.
    """

    entries: tuple[str, ...]
    seeds: int | None  # of each; None: more runs than anybody would train


class SaidResult(Frozen):
    """A point of a conclusion, of one sentence or a few. Names of entries and parametrizations stand in backticks."""

    about: Literal["choice", "minimum", "winner", "next", "note"]
    text: str


class PlaceResult(Frozen):
    """A model of the ladder at one of its horizons."""

    rung: str
    n_active: int
    n_total: int
    tokens: int
    batch_tokens: int
    run_flops: float  # one run at this rung and horizon

    @staticmethod
    def fields_of(rung: Rung, horizon: int) -> dict[str, Any]:
        return {
            "rung": rung.name,
            "n_active": rung.n_active,
            "n_total": rung.n_total,
            "tokens": horizon,
            "batch_tokens": rung.batch_tokens,
            "run_flops": float(rung.flops_per_token * horizon),
        }


class TargetResult(PlaceResult):
    oracle: dict[str, OracleResult]  # by parametrization
    paradigms: tuple[ParadigmResult, ...]
    winner: str | None  # None: no entry is better than all others by more than the noise between seeds
    conclusion: str  # sentences: who wins, who chooses the LR best, and which parametrization has the lowest minimum
    # The rest is empty in results of an older version.
    behind: tuple[str, ...] = ()  # where nobody wins: who is measurably worse than the best
    cheapest: str | None = None  # where nobody wins: the cheapest search of those that are not measurably worse
    smallest_difference: float | None = None  # nats that this study would have found in 80%
    differences: tuple[DifferenceResult, ...] = ()  # of every two that finished all seeds
    said: tuple[SaidResult, ...] = ()  # `conclusion`, sentence by sentence
    next_runs: tuple[NextRunsResult, ...] = ()  # where nobody wins: what would decide, for all that are tied first


class GoalAnswer(Frozen):
    """The LR of one entry for a goal, with its 90% interval. Nothing was trained at the goal, so there is no score."""

    name: str
    parametrization: ParametrizationName
    lr: float
    lr_low: float | None
    lr_high: float | None
    extrapolation: float  # FLOPs of a run at the goal / FLOPs of the largest searched run
    cost_flops: float  # of its whole search
    cost_fraction: float  # search FLOPs / FLOPs of one run at this goal and horizon
    flags: tuple[str, ...] = ()
    horizon_exponent: float | None = None
    role_lrs: tuple[tuple[str, float], ...] = ()
    recipe: Recipe  # the settings of the run, with the LR of each kind of parameter


class GoalResult(PlaceResult):
    """A model that the study answers for and never trains."""

    answers: tuple[GoalAnswer, ...]
    silent: tuple[str, ...] = ()  # entries that cannot answer here, with their reasons


class EntryResult(Frozen):
    """One entry of the study, and what its search found."""

    name: str
    paradigm: str  # the name of one that is shipped or installed, or package.module:Class
    parametrization: ParametrizationName  # label of the arm of its proposals
    searched: ParametrizationName  # label of the arm of its search
    budget: float | None = None  # highest cost of its search in runs of the largest target or goal; None: no limit
    searches_targets: bool | None = None  # whether its search ran the targets themselves; None: not known
    reason: str = ""  # why it proposed nothing
    law: LawResult | None = None  # what it fitted
    curves: tuple[CurveResult, ...] = ()  # loss against LR, as its search saw it; empty in results of an older version


class RungResult(Frozen):
    """The size of one rung. `n_active` and `n_total` count parameters; horizons and batch are in tokens."""

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
    continued: tuple[int, ...] = ()  # those of the horizons to which runs go on at the LR of a shorter horizon
    flops_per_token: int


class RegretResults(StudyResults):
    """The whole of results.json. Losses are in nats per token."""

    schema_: str = SCHEMA
    lab: LabName = "trained"  # where the losses come from
    seed_noise: float | None  # standard deviation of the loss over seeds at one LR near the best, nats
    seed_noise_df: int  # its degrees of freedom
    # Standard deviation of what a seed adds under one parametrization and not under the others, nats.
    seed_interaction: float | None = None
    seed_interaction_df: int = 0
    rungs: tuple[RungResult, ...]
    targets: tuple[TargetResult, ...]
    goals: tuple[GoalResult, ...] = ()  # empty in results of an older version
    curves: tuple[CurveResult, ...]
    law: LawResult | None  # of the first entry that fitted one under `sp`
    entries: tuple[EntryResult, ...] = ()  # in the order of the config; empty in results of an older version
    role_effects: tuple[RoleEffect, ...] = ()  # from a search for multipliers of roles, and its ablation
    payers: dict[str, float]  # FLOPs charged to each payer
    payer_seconds: dict[str, float] = Field(default_factory=dict)  # wall time of all runs that a payer is charged for
    learning_curves: tuple[LearningCurve, ...] = ()  # of the entries' runs at targets; empty if there are no logs
