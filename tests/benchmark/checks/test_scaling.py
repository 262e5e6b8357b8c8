"""How the times of ranks are taken for `lrladder bench`."""

from multiprocessing import Pipe

import pytest
import torch

from lrladder.benchmark.checks.bench import scaling
from lrladder.benchmark.checks.bench.steps import router_loss
from lrladder.models.parametrization import build
from lrladder.models.transformer import Transformer
from tests.benchmark.trials import tiny_trial


def test_the_time_of_a_step_is_that_of_the_slowest_rank() -> None:
    ours, theirs = zip(*(Pipe() for _ in range(2)), strict=True)
    for pipe, seconds in zip(theirs, (1.0, 3.0), strict=True):
        pipe.send(seconds)
    assert scaling._timed(list(ours), scaling.DEEPSPEED) == 3.0
    assert [pipe.recv() for pipe in theirs] == [scaling.DEEPSPEED] * 2


def test_a_rank_that_dies_ends_the_timing() -> None:
    ours, theirs = Pipe()
    theirs.close()
    with pytest.raises((EOFError, OSError)):
        scaling._timed([ours], scaling.DEEPSPEED)


def test_the_plain_loops_have_the_losses_of_the_router_with_their_coefficients() -> None:
    trial = tiny_trial()
    model = build(trial.rules, trial.shape, trial.base.shape, backend="grouped", embedding_std=1.0, seed=0).model
    assert isinstance(model, Transformer)
    output = model(torch.arange(16)[None])
    expected = 0.01 * output.load_balance + 0.001 * output.router_z
    assert trial.optimizer.aux_loss_coef == 0.01 and trial.optimizer.z_loss_coef == 0.001
    assert torch.equal(router_loss(trial, output), expected)
