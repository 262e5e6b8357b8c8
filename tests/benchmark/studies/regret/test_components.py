"""Variance components of near runs: against the balanced formulas and planted variances, and where none is told."""

from collections.abc import Hashable, Sequence
from itertools import product

import numpy as np
import pytest

from lrladder.benchmark.studies.regret.scoring.components import Components, Run, combined, components, squares


def study(
    rng: np.random.Generator,
    *,
    points: Sequence[int] = (3, 3),
    seeds: Sequence[int] = (3, 3),
    tau: float = 0.0,
) -> dict[Run, float]:
    """One target: `points` LRs for each parametrization, the i-th of which has seeds[i % len(seeds)] seeds; sd 1."""
    own = 10 * rng.standard_normal(max(seeds))
    runs = {}
    for group, count in enumerate(points):
        interaction = tau * rng.standard_normal(max(seeds))
        for point in range(count):
            for seed in range(seeds[point % len(seeds)]):
                loss = 7.0 * point + own[seed] + interaction[seed] + rng.standard_normal()
                runs[Run(str(group), point, seed)] = float(loss)
    return runs


@pytest.mark.parametrize("tau", [0.0, 2.0], ids=["pooled", "apart"])
def test_balanced_runs_give_the_written_formulas(tau: float) -> None:
    n, k, groups = 3, 4, 3
    target = study(np.random.default_rng(0), points=[k] * groups, seeds=[n], tau=tau)
    y = np.array(list(target.values())).reshape(groups, k, n)
    residuals = y - y.mean(-1, keepdims=True)
    effects = residuals.mean(1)
    s2 = float(((residuals - effects[:, None]) ** 2).sum()) / (groups * (k - 1) * (n - 1))
    spread = float(((effects - effects.mean(0)) ** 2).sum()) / ((groups - 1) * (n - 1))
    dof, interaction_dof = groups * (k - 1) * (n - 1), (groups - 1) * (n - 1)
    expected = Components(s2, dof, spread - s2 / k, interaction_dof)
    if not tau:
        assert spread < s2 / k
        both = dof + interaction_dof
        expected = Components((dof * s2 + interaction_dof * k * spread) / both, both, 0.0, interaction_dof)
    assert components([target]) == pytest.approx(expected)


@pytest.mark.parametrize("tau", [0.0, 1.5])
def test_planted_variances_are_recovered_from_unequal_numbers_of_seeds(tau: float) -> None:
    rng = np.random.default_rng(1)
    found = components(study(rng, points=(3, 2), seeds=(3, 3, 2), tau=tau) for _ in range(400))
    assert found.variance == pytest.approx(1.0, rel=0.08)
    assert found.interaction == pytest.approx(tau**2, abs=0.15)


def test_a_seeds_own_effect_and_an_lrs_level_do_not_enter() -> None:
    target = study(np.random.default_rng(2))
    moved = {run: loss + 100 * run.seed + 50 * int(run.group) + run.point**2 for run, loss in target.items()}
    expected, found = components([target]), components([moved])
    assert found.variance == pytest.approx(expected.variance)
    assert found.interaction == pytest.approx(expected.interaction)


def test_each_row_of_losses_is_a_study_of_its_own() -> None:
    targets = [study(np.random.default_rng(seed), points=(3, 2), seeds=(3, 3, 2)) for seed in (4, 5, 6)]
    together = squares(list(targets[0]), np.array([list(target.values()) for target in targets]))
    alone = [squares(list(target), np.array(list(target.values()))) for target in targets]
    assert together.rest == pytest.approx([float(one.rest) for one in alone])
    assert together.interaction == pytest.approx([float(one.interaction) for one in alone])


def test_targets_are_pooled_by_their_sums_of_squares() -> None:
    """A target of one LR under each of two parametrizations tells s2 + tau2 alone, and so nothing without another."""
    rng = np.random.default_rng(8)
    targets = [study(rng, tau=3.0), study(rng, points=(4, 2), tau=3.0), study(rng, points=(1, 1), tau=3.0)]
    sums = [squares(list(target), np.array(list(target.values()))) for target in targets]
    found = components([*targets, {}])
    assert found.dof == 8 + 8 + 0 == sum(one.dof for one in sums)
    assert found.interaction_dof == 2 + 2 + 2
    s2 = sum(float(one.rest) for one in sums) / 16
    assert found.variance == pytest.approx(s2)
    excess = sum(float(one.interaction) for one in sums) - 6 * s2
    assert found.interaction == pytest.approx(excess / sum(one.scale for one in sums))
    assert found.run == (pytest.approx(s2**0.5), 16)


def test_a_sum_of_exact_parts_is_exact_and_has_the_fewest_degrees_of_freedom() -> None:
    assert combined([(0.0, 7), (0.0, 3)]) == (0.0, 3)
    assert combined([]) == (0.0, float("inf"))
    assert combined([(3.0, 5), (1.0, 2)]) == pytest.approx((2.0, 16 / (9 / 5 + 1 / 2)))
    assert combined([(1.0, 1)]) == (1.0, 1)


def test_too_few_runs_tell_nothing() -> None:
    rng = np.random.default_rng(3)
    assert components([]) == Components(None, 0, 0.0, 0)
    assert components([{}]).variance is None
    assert components([study(rng, points=(1, 1))]).variance is None
    assert components([study(rng, points=(3,), seeds=(1,))]).variance is None
    alone = components([study(rng, points=(3,))])
    assert (alone.dof, alone.interaction_dof) == (4, 0)


def test_degrees_of_freedom_of_a_sum_lie_between_those_of_its_parts_and_their_sum() -> None:
    assert combined([(2.0, 7), (0.0, 3)]) == pytest.approx((2**0.5, 7))
    even = combined([(1.0, 4), (1.0, 4)])
    assert (even.sd, even.dof) == pytest.approx((2**0.5, 8))
    lopsided = combined([(1.0, 4), (0.1, 40)])
    assert 4 < lopsided.dof < 44
    assert combined([(1.0, 4), (0.0, 0)]).sd is None  # a part that nothing tells may be anything


@pytest.mark.parametrize("seed", range(30))
def test_sums_of_squares_are_those_of_the_projections_in_full(seed: int) -> None:
    """Whatever runs are missing. A large study has no room for matrices of (runs, runs)."""
    rng = np.random.default_rng(seed)
    sizes = [range(rng.integers(1, 5)) for _ in range(3)]
    runs = [Run("abcd"[group], point, s) for group, point, s in product(*sizes) if rng.random() < 0.7]
    if not runs:
        return
    losses = rng.normal(size=(2, len(runs)))
    within = _columns([(run.group, run.seed) for run in runs])
    points, seeds = _columns([(run.group, run.point) for run in runs]), _columns([run.seed for run in runs])
    small, large = _residual_maker(points, seeds), _residual_maker(points, within)
    found = squares(runs, losses)
    assert (found.dof, found.interaction_dof) == (round(np.trace(large)), round(np.trace(small) - np.trace(large)))
    both, rest = (np.sum((losses @ maker) ** 2, axis=-1) for maker in (small, large))
    assert found.rest == pytest.approx(rest, abs=1e-12)
    assert found.interaction == pytest.approx(both - rest, abs=1e-12)
    assert found.scale == pytest.approx(np.trace(within.T @ small @ within), abs=1e-12)


def _columns(keys: Sequence[Hashable]) -> np.ndarray:
    distinct = list(dict.fromkeys(keys))
    return np.array([[key == other for other in distinct] for key in keys], dtype=float)


def _residual_maker(*factors: np.ndarray) -> np.ndarray:
    design = np.hstack(factors)
    return np.eye(len(design)) - design @ np.linalg.pinv(design)
