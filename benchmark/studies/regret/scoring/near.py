"""Selects the near runs: the runs at a target from which the noise of a comparison there is estimated."""

import math
from collections.abc import Mapping, Sequence

from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.regret.scoring.components import Run, components
from lrladder.benchmark.studies.regret.scoring.noise import Noises, Point, label, seed_noise
from lrladder.benchmark.studies.regret.scoring.oracle import find_oracle
from lrladder.paradigms.lab import Measurement
from lrladder.paradigms.paradigm import Proposal

NEAR_OCTAVES = 0.5  # on either side of the best LR; runs up to 3/4 may have less noise (docs/decision.md)
_ROUNDING = 1e-9  # octaves


def target_noises(
    config: RegretConfig, measurements: Sequence[Measurement], proposals: Sequence[Proposal] = ()
) -> Noises:
    """The noise of the losses at targets, pooled over all targets and horizons of a study."""
    targets = {rung.name for rung in config.rungs.targets}
    swept = set(config.labels)
    curves = seed_noise(m for m in measurements if m.rung in targets and m.parametrization in swept)
    runs = []
    for rung in config.rungs.targets:
        for horizon in rung.read:
            oracles = [
                find_oracle(config, measurements, rung, horizon, name, curves, proposals) for name in config.labels
            ]
            best = {oracle.parametrization: oracle.result.lr for oracle in oracles}
            here = [m for m in measurements if (m.rung, m.horizon) == (rung.name, horizon)]
            entries = {(label(p), p.lr) for p in proposals if (p.rung, p.horizon) == (rung.name, horizon)}
            runs.append(near_runs(here, best, entries))
    groups = {run.group for target in runs for run in target}
    return Noises(
        curves,
        components(_only(target, swept) for target in runs),
        components(runs),
        {name: components(_only(target, {name}) for target in runs) for name in groups - swept},
    )


def _only(runs: Mapping[Run, float], groups: set[str]) -> dict[Run, float]:
    return {run: loss for run, loss in runs.items() if run.group in groups}


def near_runs(
    measurements: Sequence[Measurement], best: Mapping[str, float | None], entries: set[Point]
) -> dict[Run, float]:
    """Losses (nats) of the near runs among the measurements of one target and horizon.

    These are the runs at the points `entries`, and swept runs within half an octave of the best LR of their arm.
    `best` has this LR by arm: that of the fitted minimum, or else the best that was measured. An LR at which any seed
    diverged is left out.
    """
    lost = {(label(m), m.lr) for m in measurements if m.verdict == "diverged"}
    found: dict[Run, float] = {}
    for m in measurements:
        point, at = (label(m), m.lr), best.get(m.parametrization)
        swept = not m.role_lrs and at is not None and abs(math.log2(m.lr / at)) <= NEAR_OCTAVES + _ROUNDING
        if m.verdict == "finished" and m.loss is not None and point not in lost and (swept or point in entries):
            found[Run(m.parametrization, point, m.seed)] = m.loss
    return found
