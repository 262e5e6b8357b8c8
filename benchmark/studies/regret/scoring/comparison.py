"""Scores frozen proposals against oracle sweeps. Pure: measurements and proposals in, results out, nothing is run.

All intervals are 90% and come from the seed noise: t quantile at its degrees of freedom. The error of a loss over
validation documents is not in them: all runs read the same documents, so it cancels in a difference of two runs.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lrladder.benchmark.ladder import Rung
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.regret.protocol import ORACLES
from lrladder.benchmark.studies.regret.results import OracleResult, ParadigmResult, TargetResult
from lrladder.benchmark.studies.regret.scoring.noise import Noises, Point, label
from lrladder.benchmark.studies.regret.scoring.verdicts import Difference, judge
from lrladder.benchmark.training.recipe import proposal_recipe
from lrladder.paradigms.lab import Measurement, ParametrizationName
from lrladder.paradigms.level import LEVEL
from lrladder.paradigms.paradigm import Proposal
from lrladder.paradigms.sweep.curve import Curve, fit_curve
from lrladder.paradigms.sweep.noise import Noise
from lrladder.paradigms.sweep.slopes import minimum_slopes

STEP = 1e-7  # nats, of the slopes of an oracle's minimum


class Oracle(NamedTuple):
    """Best of one parametrization at a target. `weights` is what the loss at each LR adds to `loss`; they sum to 1."""

    parametrization: ParametrizationName
    result: OracleResult
    curve: Curve
    weights: dict[Point, float]
    misfit: float  # variance of the losses about the fitted curve beyond the seed noise; 0 where none is seen


def on_oracle_grid(lr: float, parametrization: ParametrizationName, config: RegretConfig) -> bool:
    """Oracle sweeps run on the grid guess * factor^k, whatever was proposed: this tells their runs from proposals'."""
    return _on_grid(lr, grid_origin(parametrization, config), config.validation.oracle_factor)


def on_search_grid(lr: float, parametrization: ParametrizationName, config: RegretConfig) -> bool:
    """Searches for the LR run on a grid too."""
    paradigms = config.paradigms
    spec = paradigms.fitting if parametrization == "sp" else paradigms.mutransfer
    return _on_grid(lr, spec.lr_guess, spec.factor)


def _on_grid(lr: float, origin: float, factor: float) -> bool:
    steps = math.log(lr / origin) / math.log(factor)
    return abs(steps - round(steps)) < 1e-6


def grid_origin(parametrization: ParametrizationName, config: RegretConfig) -> float:
    paradigms = config.paradigms
    return (paradigms.fitting if parametrization == "sp" else paradigms.mutransfer).lr_guess


def seed_means(
    measurements: Iterable[Measurement], rung: str, horizon: int, parametrization: ParametrizationName, seeds: set[int]
) -> dict[float, float | None]:
    """Mean loss by LR over `seeds`: None where one diverged, left out where one has not been measured."""
    cells: dict[float, dict[int, Measurement]] = {}
    for m in measurements:
        here = (m.rung, m.horizon, label(m)) == (rung, horizon, parametrization) and m.seed in seeds
        if here and m.verdict in ("finished", "diverged"):
            cells.setdefault(m.lr, {})[m.seed] = m
    means: dict[float, float | None] = {}
    for lr, by_seed in sorted(cells.items()):
        losses = [m.loss for m in by_seed.values() if m.loss is not None]
        if len(losses) < len(by_seed):
            means[lr] = None
        elif len(losses) == len(seeds):
            means[lr] = float(np.mean(losses))
    return means


def find_oracle(
    config: RegretConfig,
    measurements: Sequence[Measurement],
    rung: Rung,
    horizon: int,
    parametrization: ParametrizationName,
    noise: Noise,
) -> Oracle:
    """Quadratic fit to the sweep, on losses averaged over seeds; the best measured where the minimum is not inside."""
    seeds = set(config.validation.seeds)
    means = seed_means(measurements, rung.name, horizon, parametrization, seeds)
    sweep = {lr: loss for lr, loss in means.items() if on_oracle_grid(lr, parametrization, config)}
    spread = noise.sd / math.sqrt(len(seeds)) if noise.sd else None
    curve = _fit(sweep, spread)
    finished = {lr: loss for lr, loss in sweep.items() if loss is not None}
    best = min(finished, key=lambda lr: finished[lr]) if finished else None
    interior = curve.status == "interior"
    result = OracleResult(
        lr=curve.lr_best if interior else best,
        lr_low=curve.lr_low if interior else None,
        lr_high=curve.lr_high if interior else None,
        loss=curve.minimum if interior else finished.get(best) if best is not None else None,
        status=curve.status,
        n_lrs=len(finished),
        n_seeds=len(seeds) if finished else 0,
        cost_flops=_sweep_flops(config, measurements, rung, parametrization),
    )
    slopes = _slopes(sweep, spread) if interior else {best: 1.0} if best is not None else {}
    misfit = max(0.0, (curve.residual_sd or 0.0) ** 2 - (spread or 0.0) ** 2) if interior else 0.0
    weights: dict[Point, float] = {(parametrization, lr): slope for lr, slope in slopes.items()}
    return Oracle(parametrization, result, curve, weights, misfit)


def _sweep_flops(
    config: RegretConfig, measurements: Iterable[Measurement], rung: Rung, parametrization: ParametrizationName
) -> float:
    """Of the distinct runs of a sweep; one run is read at all horizons of its rung, so these share the cost."""
    runs = {
        m.trial_id: m.flops
        for m in measurements
        if (m.rung, label(m)) == (rung.name, parametrization) and on_oracle_grid(m.lr, parametrization, config)
    }
    return math.fsum(runs.values())


def _fit(sweep: Mapping[float, float | None], noise: float | None) -> Curve:
    return fit_curve(list(sweep), list(sweep.values()), level=LEVEL, noise=noise)


def _slopes(sweep: Mapping[float, float | None], noise: float | None) -> dict[float, float]:
    """d minimum / d loss at each finished LR of a sweep whose minimum is inside."""
    finished = [lr for lr, loss in sweep.items() if loss is not None]
    slopes = minimum_slopes(list(sweep), list(sweep.values()), noise=noise, step=STEP)
    return dict(zip(finished, slopes, strict=True))


def compare(
    config: RegretConfig,
    measurements: Sequence[Measurement],
    proposals: Sequence[Proposal],
    rung: Rung,
    horizon: int,
    noises: Noises,
    payers: Mapping[str, float],
) -> TargetResult:
    """Everything known about one target rung at one horizon. Proposals without data are left out."""
    oracles = {name: find_oracle(config, measurements, rung, horizon, name, noises.swept) for name in ORACLES}
    run_flops = float(rung.flops_per_token * horizon)
    own = [p for p in proposals if (p.rung, p.horizon) == (rung.name, horizon)]
    scored = tuple(
        result
        for p in own
        if (result := _score(config, measurements, p, oracles, noises, payers.get(p.paradigm, 0.0), run_flops))
    )
    winner, verdict = judge(
        scored,
        {name: oracle.result for name, oracle in oracles.items()},
        lambda first, second: _difference(first, second, noises.of(first.parametrization, second.parametrization)),
    )
    return TargetResult(
        rung=rung.name,
        n_active=rung.n_active,
        n_total=rung.n_total,
        tokens=horizon,
        batch_tokens=rung.batch_tokens,
        run_flops=run_flops,
        oracle={name: oracle.result for name, oracle in oracles.items()},
        paradigms=scored,
        winner=winner,
        verdict=verdict,
    )


def _difference(first: ParadigmResult, second: ParadigmResult, noise: Noise) -> Difference:
    if first.loss is None or second.loss is None:
        raise ValueError("only finished proposals are compared")
    variance = 0.0 if first.same_as(second) else 2 / first.n_seeds
    return Difference(first.loss - second.loss, noise.half_width(variance))


def _score(
    config: RegretConfig,
    measurements: Sequence[Measurement],
    proposal: Proposal,
    oracles: Mapping[ParametrizationName, Oracle],
    noises: Noises,
    cost: float,
    run_flops: float,
) -> ParadigmResult | None:
    runs = proposal_runs(config, measurements, proposal)
    diverged = sum(m.verdict == "diverged" for m in runs.values())
    losses = [m.loss for m in runs.values() if m.verdict == "finished" and m.loss is not None]
    if not diverged and len(losses) < len(config.validation.seeds):
        return None
    loss = None if diverged else float(np.mean(losses))
    own = oracles.get(proposal.parametrization)
    best = min(oracles.values(), key=lambda o: math.inf if o.result.loss is None else o.result.loss)
    point = (label(proposal), proposal.lr)
    n, noise = len(config.validation.seeds), noises.of(proposal.parametrization)
    regret, low, high = _interval(loss, point, best, n, noise)
    lr_regret, lr_low, lr_high = _interval(loss, point, own, n, noise) if own else (None, None, None)
    if own and own.result.loss is None:
        regret = low = high = None  # its own best is unknown, so perhaps is the best
    return ParadigmResult(
        name=proposal.paradigm,
        **proposal.model_dump(exclude={"paradigm", "rung", "horizon"}),
        loss=loss,
        n_seeds=len(losses),
        regret=regret,
        regret_low=low,
        regret_high=high,
        lr_regret=lr_regret,
        lr_regret_low=lr_low,
        lr_regret_high=lr_high,
        parametrization_gap=_gap(own, best),
        cost_flops=cost,
        cost_fraction=cost / run_flops,
        diverged=diverged,
        recipe=proposal_recipe(config, proposal),
    )


def _gap(own: Oracle | None, best: Oracle) -> float | None:
    """Nats between the best of a parametrization and the best of all."""
    if own is None or own.result.loss is None or best.result.loss is None:
        return None
    return own.result.loss - best.result.loss


def proposal_runs(
    config: RegretConfig, measurements: Iterable[Measurement], proposal: Proposal
) -> dict[int, Measurement]:
    """The validation runs of a proposal by seed: finished or diverged ones."""
    cell = (proposal.rung, proposal.horizon, label(proposal), proposal.lr)
    return {
        m.seed: m
        for m in measurements
        if (m.rung, m.horizon, label(m), m.lr) == cell
        and m.seed in config.validation.seeds
        and m.verdict in ("finished", "diverged")
    }


def _interval(
    loss: float | None, point: Point, oracle: Oracle, n: int, noise: Noise
) -> tuple[float | None, float | None, float | None]:
    """Loss above an oracle, and its interval: of the proposal's mean and, to first order, of the oracle's minimum."""
    if loss is None or oracle.result.loss is None:
        return None, None, None
    weights = {key: -weight for key, weight in oracle.weights.items()}
    weights[point] = weights.get(point, 0.0) + 1
    value = loss - oracle.result.loss
    misfit = oracle.misfit * sum(weight**2 for weight in oracle.weights.values())
    half = noise.half_width(sum(weight**2 for weight in weights.values()) / n, misfit)
    return (value, None, None) if half is None else (value, value - half, value + half)
