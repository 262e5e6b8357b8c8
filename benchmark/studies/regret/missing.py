"""What a regret study has not run yet."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from lrladder.benchmark.ladder import Rung
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.regret.middle import sweep_middle
from lrladder.benchmark.studies.regret.scoring.comparison import proposal_runs
from lrladder.benchmark.studies.regret.scoring.means import Mean
from lrladder.benchmark.studies.regret.scoring.oracle import on_grid, swept_means
from lrladder.paradigms.lab import Measurement, ParametrizationName
from lrladder.paradigms.paradigm import Proposal
from lrladder.paradigms.sweep.swept import open_side, sweep


def missing_runs(
    config: RegretConfig, measurements: Sequence[Measurement], proposals: Sequence[Proposal], reasons: Mapping[str, str]
) -> Iterator[str]:
    """What is not there yet of a study, one line for each proposal, sweep and failed run."""
    for m in {m.trial_id: m for m in measurements if m.verdict == "failed"}.values():
        yield f"failed run: {m.rung}, {m.parametrization}, lr {m.lr:.4g}, seed {m.seed}: {m.message or 'no message'}"
    known = {(p.paradigm, p.rung, p.horizon): p for p in proposals}
    seeds = config.validation.seeds
    for rung in config.rungs.targets:
        for horizon in rung.read:
            where = f"{rung.name} at {horizon:,} tokens"
            for name in config.entries:
                proposal = known.get((name, rung.name, horizon))
                if proposal is None:
                    yield f"{where}: no proposal of {name}: {reasons.get(name, 'not made yet')}"
                    continue
                runs = proposal_runs(config, measurements, proposal)
                if len(runs) < len(seeds):
                    yield f"{where}: proposal of {name} trained with {len(runs)} of {len(seeds)} seeds"
            for parametrization in config.labels:
                if reason := _unfinished_oracle(config, measurements, proposals, rung, horizon, parametrization):
                    yield f"{where}: oracle of {parametrization}: {reason}"


def _unfinished_oracle(
    config: RegretConfig,
    measurements: Sequence[Measurement],
    proposals: Sequence[Proposal],
    rung: Rung,
    horizon: int,
    parametrization: ParametrizationName,
) -> str | None:
    """Why the oracle's sweep at a target is not complete; None if it is, or if it may not be extended any more."""
    validation = config.validation
    swept = swept_means(config, measurements, rung, horizon, parametrization, proposals)
    means = {lr: mean.loss for lr, mean in swept.items()}
    if len(means) < validation.oracle_points:
        return f"{len(means)} of {validation.oracle_points} learning rates measured"
    middle = sweep_middle(config, proposals, rung.name, parametrization)
    whole = {lr: loss for lr, loss in means.items() if on_grid(lr, middle, validation.oracle_factor)}
    side = open_side(sweep(list(means), list(means.values())))
    if horizon in rung.continued:
        return None  # no sweep is extended for a horizon to which runs are only continued
    if validation.oracle_lean and _has_lean_step(config, swept, whole):
        return None
    if side and len(whole) < validation.oracle_points + validation.max_extensions:
        return f"best of {len(means)} learning rates is at the {side} edge, to be extended"
    if validation.oracle_refine and not side and (validation.oracle_lean or _unrefined(config, whole, means)):
        return f"best of {len(means)} learning rates is bracketed, its last step to be measured"
    return None


def _has_lean_step(config: RegretConfig, swept: Mapping[float, Mean], whole: Iterable[float]) -> bool:
    """Whether a half step and the LRs of the grid on either side of it have all seeds, or diverged with one."""
    seeds, step = len(config.validation.sweep_seeds), math.sqrt(config.validation.oracle_factor)
    done = [lr for lr, mean in swept.items() if mean.seeds == seeds or mean.loss is None]
    return any(lr not in whole and all(_is_among(beside, done) for beside in (lr / step, lr * step)) for lr in done)


def _unrefined(config: RegretConfig, whole: Mapping[float, float | None], means: Mapping[float, float | None]) -> bool:
    """Whether a half step beside the best LR of the grid has not been tried.

    The best LR is taken from whole steps only: a half step that turns out better is not refined again.
    """
    step = math.sqrt(config.validation.oracle_factor)
    best = min((lr for lr in whole if whole[lr] is not None), key=lambda lr: whole[lr] or math.inf, default=None)
    beside = [] if best is None else [best * step, best / step]
    return any(not _is_among(lr, means) for lr in beside)


def _is_among(lr: float, lrs: Iterable[float]) -> bool:
    return any(math.isclose(lr, other, rel_tol=1e-6) for other in lrs)
