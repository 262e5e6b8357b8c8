"""What LR multipliers of single roles do, wherever runs differ in one multiplier alone. Pure."""

from collections.abc import Iterator, Sequence
from statistics import fmean

from lrladder.benchmark.studies.regret.results import RoleEffect
from lrladder.benchmark.studies.regret.scoring.noise import seed_noise
from lrladder.paradigms.lab import Measurement

RoleLrs = tuple[tuple[str, float], ...]
Place = tuple[str, int, str, float]  # rung, horizon, parametrization, LR


def role_effects(measurements: Sequence[Measurement]) -> Iterator[RoleEffect]:
    """One for each rung, horizon, role and factor: against the same runs without it, seed by seed."""
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
    """Mean over the seeds that both have; None where one of them diverged."""
    pairs = [(before[seed].loss, after[seed].loss) for seed in before.keys() & after.keys()]
    changes = [new - old for old, new in pairs if old is not None and new is not None]
    return (fmean(changes) if changes and len(changes) == len(pairs) else None), len(pairs)
