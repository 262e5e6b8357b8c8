"""The lattice that proposals may be put on holds the sweep's grid, to the bit, and moves nothing far."""

import math

import numpy as np
import pytest

from lrladder.benchmark.config.parts import SearchConfig
from lrladder.paradigms.sweep.grid import STEPS_PER_OCTAVE, grid_lr, on_lattice, snap


def spec_of(factor: float, guess: float = 0.016) -> SearchConfig:
    return SearchConfig(lr_guess=guess, factor=factor)


@pytest.mark.parametrize("halves", range(1, 7))
@pytest.mark.parametrize("guess", [0.016, 0.0037, 1e-8])
def test_the_lattice_holds_the_grid_and_the_steps_between(halves: int, guess: float) -> None:
    spec = spec_of(2 ** (halves / 2), guess)
    for k in range(-20, 21):
        lr = grid_lr(spec, k / 2)
        assert snap(lr, spec) == lr


def test_a_grid_that_starts_elsewhere_on_itself_has_the_same_lrs() -> None:
    """An oracle's sweep starts at the grid's LR nearest to the proposals."""
    spec = spec_of(2.0)
    for start in range(-12, 13):
        moved = spec_of(2.0, grid_lr(spec, start))
        for k in range(-12, 13):
            assert snap(grid_lr(moved, k / 2), spec) == grid_lr(moved, k / 2)


@pytest.mark.parametrize("factor", [2**0.5, 2.0, 4.0])
def test_no_lr_moves_by_more_than_half_a_step_and_the_nearest_is_taken(factor: float) -> None:
    spec, rng = spec_of(factor), np.random.default_rng(0)
    for lr in 10 ** rng.uniform(-6, 1, 500):
        snapped = snap(float(lr), spec)
        assert abs(math.log2(snapped / lr)) <= 1 / 32 + 1e-12
        steps = STEPS_PER_OCTAVE * math.log2(snapped / spec.lr_guess)
        assert steps == pytest.approx(round(steps), abs=1e-6)
        assert snap(snapped, spec) == snapped


def test_proposals_that_are_nearly_equal_become_one_run() -> None:
    spec = spec_of(2.0)
    middle = grid_lr(spec, 3 / 16)
    assert snap(middle * 2**0.02, spec) == snap(middle / 2**0.02, spec)


@pytest.mark.parametrize("factor", [1.41, 3.0, 10.0, 2 ** (3 / 16)])
def test_a_factor_off_the_lattice_is_refused(factor: float) -> None:
    assert not on_lattice(factor)
    with pytest.raises(ValueError, match="no lattice holds its grid"):
        snap(0.01, spec_of(factor))


@pytest.mark.parametrize("lr", [0.0, -1.0, math.inf, math.nan])
def test_an_lr_that_is_none_is_refused(lr: float) -> None:
    with pytest.raises(ValueError, match="positive, finite"):
        snap(lr, spec_of(2.0))
