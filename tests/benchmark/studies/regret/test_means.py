"""Means over seeds of LRs that have some of them: they are those of a least-squares fit, and exact without noise."""

import numpy as np
import pytest

from lrladder.benchmark.studies.regret.scoring.means import Losses, seed_means

LRS, SEEDS = (0.01, 0.02, 0.03, 0.04, 0.05), (0, 1, 2)


def drawn(noise: float) -> dict[float, Losses]:
    """Losses of an LR and a seed, added, with noise. The first and the last LR have the first seed alone."""
    rng = np.random.default_rng(3)
    effects = rng.standard_normal(len(SEEDS))
    losses = {}
    for lr in LRS:
        seeds = SEEDS[:1] if lr in (LRS[0], LRS[-1]) else SEEDS
        losses[lr] = {seed: 100 * lr + effects[seed] + noise * rng.standard_normal() for seed in seeds}
    return losses


def test_without_noise_every_mean_has_the_same_effect_of_the_seeds() -> None:
    means = seed_means(drawn(0.0), SEEDS, lean=True)
    found = {mean.loss - 100 * lr for lr, mean in means.items() if mean.loss is not None}
    assert len(means) == len(LRS)
    assert max(found) - min(found) < 1e-12
    assert [mean.seeds for mean in means.values()] == [1, 3, 3, 3, 1]


def test_means_are_those_of_a_least_squares_fit_of_lr_and_seed() -> None:
    losses = drawn(0.3)
    runs = [(LRS.index(lr), seed, loss) for lr, own in losses.items() for seed, loss in own.items()]
    design = np.array([[*(i == j for j in range(len(LRS))), *(s == t for t in SEEDS[1:])] for i, s, _ in runs], float)
    fitted = np.linalg.lstsq(design, np.array([loss for *_, loss in runs]), rcond=None)[0]
    expected = fitted[: len(LRS)] + fitted[len(LRS) :].sum() / len(SEEDS)
    assert [mean.loss for mean in seed_means(losses, SEEDS, lean=True).values()] == pytest.approx(expected)


def test_weights_make_the_mean_and_give_each_seed_the_same_share() -> None:
    losses = drawn(0.3)
    for mean in seed_means(losses, SEEDS, lean=True).values():
        assert mean.loss == pytest.approx(sum(w * (losses[lr][seed] or 0) for (lr, seed), w in mean.runs.items()))
        for seed in SEEDS:
            assert sum(w for (_, own), w in mean.runs.items() if own == seed) == pytest.approx(1 / len(SEEDS))
        least = 1 / len(SEEDS) if mean.seeds == len(SEEDS) else 1
        assert mean.variance == pytest.approx(sum(w**2 for w in mean.runs.values()))
        assert least - 1e-12 <= mean.variance <= 1.3 * least


def test_an_lr_without_all_seeds_is_left_out_unless_the_sweep_is_lean_and_another_has_them_all() -> None:
    losses = drawn(0.3)
    assert list(seed_means(losses, SEEDS, lean=False)) == list(LRS[1:-1])
    alone = {lr: {0: own[0]} for lr, own in losses.items()}
    assert seed_means(alone, SEEDS, lean=True) == {}


@pytest.mark.parametrize("lean", [True, False])
def test_one_diverged_seed_is_a_diverged_lr(lean: bool) -> None:
    losses = drawn(0.3) | {0.02: {0: 2.0, 1: None}, 0.06: {0: None}}
    means = seed_means(losses, SEEDS, lean=lean)
    assert (means[0.02].loss, means[0.06].loss) == (None, None)
    assert all(means[lr].loss is not None for lr in (0.03, 0.04))
