"""Turns the measurements of a regret study into its results, and trains nothing.

A study that was interrupted gets results too. Their field `missing` lists the runs that are not there yet.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Self

from lrladder.benchmark.config.lab import HERE
from lrladder.benchmark.ladder import Rung
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.regret.goals import Answer, goal_results, unanswered
from lrladder.benchmark.studies.regret.learning import learning_curves
from lrladder.benchmark.studies.regret.missing import missing_runs
from lrladder.benchmark.studies.regret.recipes import label_of
from lrladder.benchmark.studies.regret.results import (
    CurveResult,
    EntryResult,
    LabName,
    LawResult,
    RegretResults,
    RungResult,
    TargetResult,
)
from lrladder.benchmark.studies.regret.role_effects import role_effects
from lrladder.benchmark.studies.regret.scoring.comparison import compare
from lrladder.benchmark.studies.regret.scoring.near import target_noises
from lrladder.benchmark.studies.regret.scoring.noise import Noises
from lrladder.benchmark.studies.regret.scoring.oracle import find_oracle, on_search_grid
from lrladder.benchmark.studies.results import Found
from lrladder.paradigms import registry
from lrladder.paradigms.lab import Measurement, ParametrizationName
from lrladder.paradigms.laws.law import Law
from lrladder.paradigms.paradigm import Paradigm, Proposal
from lrladder.paradigms.sweep.bracket import Cell, collect
from lrladder.paradigms.sweep.curve import Curve
from lrladder.paradigms.sweep.noise import Noise, pooled_noise


class Searched(NamedTuple):
    """What an entry's search found: the law it fitted, and the loss curve of each rung and horizon it searched."""

    searches_targets: bool
    law: Law | None
    curves: Mapping[Cell, Curve]

    @classmethod
    def of(cls, paradigm: Paradigm) -> Self:
        return cls(paradigm.searches_targets, paradigm.law, paradigm.curves)


def assemble(
    config: RegretConfig,
    found: Found,
    *,
    proposals: Sequence[Proposal] = (),
    answers: Sequence[Answer] = (),
    reasons: Mapping[str, str] | None = None,
    payers: Mapping[str, float] | None = None,
    searched: Mapping[str, Searched] | None = None,
) -> RegretResults:
    """The results of a study, complete or not.

    `proposals` are for targets, `answers` for goals. `reasons` says why an entry proposed nothing, by entry. `payers`
    has the FLOPs charged to each payer.
    """
    payers, ladder, measurements = payers or {}, config.rungs, found.measurements
    noises = target_noises(config, measurements, proposals)
    near = noises.base
    missing = (
        *missing_runs(config, measurements, proposals, reasons or {}),
        *unanswered(config, answers, reasons or {}),
    )
    entries = tuple(_entries(config, searched or {}, reasons or {}))
    return RegretResults(
        **found.common(config, missing),
        lab=_lab(config),
        seed_noise=near.run.sd,
        seed_noise_df=near.dof,
        seed_interaction=math.sqrt(near.interaction) if near.dof and near.interaction_dof else None,
        seed_interaction_df=near.interaction_dof,
        rungs=tuple(_rung(rung) for rung in ladder),
        targets=tuple(_targets(config, measurements, proposals, noises, payers)),
        goals=tuple(goal_results(config, answers, payers)),
        curves=(*_proxy_curves(config, measurements), *_target_curves(config, measurements, proposals, noises.curves)),
        law=next((entry.law for entry in entries if entry.law is not None and entry.searched == "sp"), None),
        entries=entries,
        role_effects=tuple(role_effects(measurements)),
        payers=dict(payers),
        payer_seconds=dict(found.seconds),
        learning_curves=tuple(learning_curves(config, found, proposals)),
    )


def _lab(config: RegretConfig) -> LabName:
    if config.simulated is not None:
        return "simulated"
    if config.lab == HERE:
        return "trained"
    return "mixed" if config.trained_here else "external"


def _targets(
    config: RegretConfig,
    measurements: Sequence[Measurement],
    proposals: Sequence[Proposal],
    noises: Noises,
    payers: Mapping[str, float],
) -> Iterator[TargetResult]:
    for rung in config.rungs.targets:
        for horizon in rung.read:
            yield compare(config, measurements, proposals, rung, horizon, noises, payers)


def _entries(
    config: RegretConfig, searched: Mapping[str, Searched], reasons: Mapping[str, str]
) -> Iterator[EntryResult]:
    for name, entry in config.entries.items():
        found, label = searched.get(name), label_of(entry.searched)
        curves = found.curves.items() if found else ()
        yield EntryResult(
            name=name,
            paradigm=entry.paradigm,
            parametrization=label_of(entry.arm),
            searched=label,
            budget=entry.budget,
            searches_targets=found.searches_targets if found else registry.searches_targets(entry.paradigm),
            reason=reasons.get(name, ""),
            law=_law(found.law) if found else None,
            curves=tuple(_curve(rung, horizon, label, curve) for (rung, horizon), curve in curves),
        )


def _rung(rung: Rung) -> RungResult:
    return RungResult(
        name=rung.name,
        part=rung.part,
        **rung.shape.model_dump(include={"width", "depth", "num_experts", "top_k", "expert_width"}),
        n_active=rung.n_active,
        n_total=rung.n_total,
        batch_tokens=rung.batch_tokens,
        horizons=rung.read,
        continued=rung.continued,
        flops_per_token=rung.flops_per_token,
    )


def _proxy_curves(config: RegretConfig, measurements: Sequence[Measurement]) -> Iterator[CurveResult]:
    """Loss against LR at each proxy and horizon, for each arm that was searched.

    The noise is pooled over all these curves of an arm.
    """
    proxies = {rung.name for rung in config.rungs.proxies}
    for name in dict.fromkeys(label_of(entry.searched) for entry in config.entries.values()):
        own = [m for m in measurements if m.rung in proxies and m.parametrization == name and not m.role_lrs]
        cells = collect(m for m in own if on_search_grid(m.lr, name, config))
        noise = pooled_noise(cell.fit() for cell in cells.values()).shared
        for (rung, horizon), cell in cells.items():
            yield _curve(rung, horizon, name, cell.fit(noise=noise))


def _target_curves(
    config: RegretConfig, measurements: Sequence[Measurement], proposals: Sequence[Proposal], noise: Noise
) -> Iterator[CurveResult]:
    """The oracle's curves at the targets, fitted to losses that are averaged over the seeds. Their `n` counts runs."""
    for rung in config.rungs.targets:
        for horizon in rung.read:
            for name in config.labels:
                oracle = find_oracle(config, measurements, rung, horizon, name, noise, proposals)
                if oracle.result.n_lrs:
                    yield _curve(rung.name, horizon, name, oracle.curve, n=oracle.n_runs)


def _curve(
    rung: str, horizon: int, parametrization: ParametrizationName, curve: Curve, *, n: int | None = None
) -> CurveResult:
    return CurveResult(
        rung=rung,
        horizon=horizon,
        parametrization=parametrization,
        status=curve.status,
        n=curve.n if n is None else n,
        lr_best=curve.lr_best,
        lr_low=curve.lr_low,
        lr_high=curve.lr_high,
        minimum=curve.minimum,
        curvature=curve.curvature,
        r2=curve.r2,
        sd_ln_lr=curve.sd_ln_lr,
        flags=curve.flags,
        lrs_fitted=curve.lrs_fitted,
    )


def _law(law: Law | None) -> LawResult | None:
    if law is None:
        return None
    batch, sparsity = law.exponents.get("batch"), law.exponents.get("sparsity")
    return LawResult(
        k=law.k,
        u=law.u,
        u_low=law.u_low,
        u_high=law.u_high,
        v=law.v,
        v_low=law.v_low,
        v_high=law.v_high,
        n_points=law.n_points,
        flags=law.flags,
        size=law.size,
        w=batch.value if batch else None,
        s=sparsity.value if sparsity else None,
    )
