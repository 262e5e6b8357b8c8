"""Finds how an LR multiplier of one role changes the loss, from runs that differ in this multiplier alone."""

from collections.abc import Iterator, Sequence
from statistics import fmean

from lrladder.benchmark.studies.regret.results import RoleEffect
from lrladder.benchmark.studies.regret.scoring.noise import seed_noise
from lrladder.paradigms.lab import Measurement
from lrladder.paradigms.mutransfer.roles import RoleLrs

Place = tuple[str, int, str, float]  # rung, horizon, parametrization, LR


def role_effects(measurements: Sequence[Measurement]) -> Iterator[RoleEffect]:
    """The effect of each multiplier that was tried: its runs minus the same runs without it, seed by seed.

    There is one for each rung, horizon, arm, LR, set of other multipliers, role and factor.
    """
    places: dict[Place, dict[RoleLrs, dict[int, Measurement]]] = {}
    for m in measurements:
        if m.verdict in ("finished", "diverged"):
            here = places.setdefault((m.rung, m.horizon, m.parametrization, m.lr), {})
            here.setdefault(m.role_lrs, {})[m.seed] = m
    for place, tried in places.items():
        noise = seed_noise(m for runs in tried.values() for m in runs.values())
        for role_lrs, runs in tried.items():
            for role, factor in role_lrs:
                others = tuple(pair for pair in role_lrs if pair[0] != role)
                if before := tried.get(others):
                    change, n = _change(before, runs)
                    half = None if change is None else noise.half_width(2 / n)
                    yield RoleEffect(
                        rung=place[0],
                        horizon=place[1],
                        role=role,
                        factor=factor,
                        others=others,
                        change=change,
                        low=None if change is None or half is None else change - half,
                        high=None if change is None or half is None else change + half,
                        n_seeds=n,
                    )


def _change(before: dict[int, Measurement], after: dict[int, Measurement]) -> tuple[float | None, int]:
    """Mean change of the loss (nats) over the seeds that both have, and their number. None if a run diverged."""
    pairs = [(before[seed].loss, after[seed].loss) for seed in before.keys() & after.keys()]
    changes = [new - old for old, new in pairs if old is not None and new is not None]
    return (fmean(changes) if changes and len(changes) == len(pairs) else None), len(pairs)
