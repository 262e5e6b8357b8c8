"""Scores the proposals at one target against the oracle's sweeps there. It only computes: nothing is trained.

All intervals are 90% intervals: Student's t quantile times a standard error, both from the noise of near runs. The
error that comes from the choice of validation documents is not in them. All runs are validated on the same
documents, so this error cancels in a difference of two runs.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from lrladder.benchmark.ladder import Rung
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.regret.results import DifferenceResult, ParadigmResult, TargetResult
from lrladder.benchmark.studies.regret.scoring.conclusion import conclude
from lrladder.benchmark.studies.regret.scoring.gaps import Gaps, Recipe, split_gap
from lrladder.benchmark.studies.regret.scoring.noise import Noises, Point, label
from lrladder.benchmark.studies.regret.scoring.oracle import Oracle, find_oracle
from lrladder.benchmark.studies.regret.scoring.widths import Widths
from lrladder.benchmark.training.recipe import proposal_recipe
from lrladder.paradigms.lab import Measurement, ParametrizationName
from lrladder.paradigms.level import LEVEL
from lrladder.paradigms.paradigm import Proposal


def compare(
    config: RegretConfig,
    measurements: Sequence[Measurement],
    proposals: Sequence[Proposal],
    rung: Rung,
    horizon: int,
    noises: Noises,
    payers: Mapping[str, float],
) -> TargetResult:
    """The scores and the conclusion at one target and horizon.

    A proposal is left out until all its validation runs have ended, or one of them has diverged. `payers` has the
    FLOPs charged to each entry.
    """
    oracles = {
        name: find_oracle(config, measurements, rung, horizon, name, noises.curves, proposals) for name in config.labels
    }
    run_flops = float(rung.flops_per_token * horizon)
    own = [p for p in proposals if (p.rung, p.horizon) == (rung.name, horizon)]
    scored = tuple(
        result
        for p in own
        if (result := _score(config, measurements, p, oracles, noises, payers.get(p.paradigm, 0.0), run_flops))
    )
    widths = Widths(noises, oracles)
    judgement = conclude(scored, {name: oracle.result for name, oracle in oracles.items()}, widths)
    return TargetResult(
        **TargetResult.fields_of(rung, horizon),
        oracle={name: oracle.result for name, oracle in oracles.items()},
        paradigms=scored,
        differences=tuple(_differences(scored, widths)),
        **judgement._asdict(),
    )


def _differences(scored: Sequence[ParadigmResult], widths: Widths) -> Iterator[DifferenceResult]:
    """The difference of the mean losses of every two entries that finished all seeds."""
    for first, second in combinations(scored, 2):
        if first.loss is not None and second.loss is not None:
            value, half = second.loss - first.loss, widths.entries(first, second, LEVEL)
            low, high = (None, None) if half is None else (value - half, value + half)
            yield DifferenceResult(first=first.name, second=second.name, value=value, low=low, high=high)


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
    losses = {seed: m.loss for seed, m in runs.items() if m.verdict == "finished" and m.loss is not None}
    if not diverged and len(losses) < len(config.validation.seeds):
        return None
    paired = None if diverged else float(np.mean([losses[seed] for seed in config.validation.sweep_seeds]))
    own = oracles.get(proposal.parametrization)
    best = min(oracles.values(), key=lambda o: math.inf if o.result.loss is None else o.result.loss)
    regret, low, high = _interval(config, paired, proposal, best, noises)
    lr_regret, lr_low, lr_high = _interval(config, paired, proposal, own, noises) if own else (None, None, None)
    if own and own.result.loss is None:
        regret = low = high = None  # its own oracle has no loss yet, and this could be the lowest
    gaps = _gaps(config, proposal.parametrization, oracles)
    return ParadigmResult(
        name=proposal.paradigm,
        **proposal.model_dump(exclude={"paradigm", "rung", "horizon"}),
        loss=None if diverged else float(np.mean(list(losses.values()))),
        n_seeds=len(losses),
        regret=regret,
        regret_low=low,
        regret_high=high,
        lr_regret=lr_regret,
        lr_regret_low=lr_low,
        lr_regret_high=lr_high,
        parametrization_gap=gaps.parametrization,
        schedule_gap=gaps.schedule,
        cost_flops=cost,
        cost_fraction=cost / run_flops,
        diverged=diverged,
        recipe=proposal_recipe(config, proposal),
    )


def _gaps(config: RegretConfig, own: ParametrizationName, oracles: Mapping[ParametrizationName, Oracle]) -> Gaps:
    minima = {
        _recipe(config, name): oracle.result.loss for name, oracle in oracles.items() if oracle.result.loss is not None
    }
    return split_gap(_recipe(config, own), minima)


def _recipe(config: RegretConfig, name: ParametrizationName) -> Recipe:
    arm = config.arm(name)
    return Recipe(arm.parametrization, arm.schedule)


def proposal_runs(
    config: RegretConfig, measurements: Iterable[Measurement], proposal: Proposal
) -> dict[int, Measurement]:
    """The finished and the diverged validation runs of a proposal, by seed."""
    asked = (proposal.rung, proposal.horizon, label(proposal), proposal.lr)
    return {
        m.seed: m
        for m in measurements
        if (m.rung, m.horizon, label(m), m.lr) == asked
        and m.seed in config.validation.seeds
        and m.verdict in ("finished", "diverged")
    }


def _interval(
    config: RegretConfig, loss: float | None, proposal: Proposal, oracle: Oracle, noises: Noises
) -> tuple[float | None, float | None, float | None]:
    """The loss above the minimum of an oracle, and the ends of its 90% interval; nats.

    `loss` is the mean over the seeds of the oracle's sweep, so that the effect of a seed cancels. If both have the
    same arm, the interaction of seed and arm cancels too. The interval contains the noise of the proposal's mean and,
    to first order, that of the oracle's minimum. The ends are None if the noise is unknown, and all three if a loss is.
    """
    if loss is None or oracle.result.loss is None:
        return None, None, None
    seeds, value, own = config.validation.sweep_seeds, loss - oracle.result.loss, proposal.parametrization
    if own == oracle.parametrization:
        point: Point = (label(proposal), proposal.lr)
        weights = {run: -weight for run, weight in oracle.runs.items()}
        for seed in seeds:
            weights[point, seed] = weights.get((point, seed), 0.0) + 1 / len(seeds)
        noise = noises.of({own: sum(weight**2 for weight in weights.values())})
    else:
        noise = noises.of({own: 1 / len(seeds), oracle.parametrization: oracle.variance}, 2 / len(seeds))
    half = noise.half_width(1.0, oracle.misfit(noises.base.run), level=LEVEL)
    return (value, None, None) if half is None else (value, value - half, value + half)
