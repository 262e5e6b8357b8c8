"""Readings of a trunk's average: against weights that are kept and averaged by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lrladder.benchmark.config.training import TrainingSettings
from lrladder.benchmark.schedules import ScheduleConfig
from lrladder.benchmark.training.averaging import average_in_place
from lrladder.benchmark.training.corpus import Corpus
from lrladder.benchmark.training.loop import Loop
from lrladder.benchmark.training.memory import memory_bytes
from lrladder.benchmark.training.metrics import validate
from lrladder.benchmark.training.train import train
from tests.benchmark.trials import BATCH, no_log, tiny_corpus, tiny_trial

EMA = ScheduleConfig(warmup_tokens=2 * BATCH, read="ema")


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return tiny_corpus(tmp_path)


@pytest.mark.parametrize("stage", [0, 1])
def test_the_average_weighs_each_step_by_a_power_of_its_share(stage: int, corpus: Corpus) -> None:
    """The oracle keeps the weights of every step. A step counts n^(g+1) - (n-1)^(g+1), the power's integral over it."""
    steps, trial = 20, tiny_trial(schedule=EMA, training=TrainingSettings(zero_stage=stage))
    loop = Loop(trial, corpus, no_log)
    kept = [
        [param.detach().double() for param in loop.engine.module.parameters()]
        for _ in loop.steps_to(steps * BATCH, horizon=steps * BATCH)
    ]
    power = EMA.average_exponent + 1
    weights = np.diff(np.arange(steps + 1) ** power) / steps**power
    expected = [sum(w * param for w, param in zip(weights, of_one, strict=True)) for of_one in zip(*kept, strict=True)]
    with average_in_place(loop.engine):
        held = [param.detach().double() for param in loop.engine.module.parameters()]
    for ours, wanted in zip(held, expected, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=1e-6)
    for now, last in zip(loop.engine.module.parameters(), kept[-1], strict=True):
        assert torch.equal(now.detach().double(), last)  # the trunk itself is as it was


def test_the_average_is_as_old_as_the_decay_that_it_stands_for() -> None:
    for fraction in (0.1, 0.2, 0.5):
        schedule = ScheduleConfig(warmup_tokens=1, decay_fraction=fraction, read="ema")
        g = schedule.average_exponent
        shares = np.linspace(0, 1, 100_001)
        assert np.average(1 - shares, weights=shares**g) == pytest.approx(fraction / 2, rel=1e-3)


def test_a_horizon_is_read_from_the_average_of_a_trunk_that_never_decays(corpus: Corpus) -> None:
    trial = tiny_trial(schedule=EMA)
    found = train(trial, corpus, log=no_log)
    loop = Loop(trial, corpus, no_log)
    for horizon, measured in zip(trial.horizons, found, strict=True):
        loop.train_to(horizon, horizon=horizon)
        assert loop.engine.get_lr()[0] == trial.lr
        with average_in_place(loop.engine):
            assert validate(loop.engine.module, corpus.val_windows).loss == measured.loss
        assert validate(loop.engine.module, corpus.val_windows).loss != measured.loss


def test_horizons_share_one_trunk_and_cost_no_decay(corpus: Corpus) -> None:
    both = tiny_trial(schedule=EMA)
    found = train(both, corpus, log=no_log)
    alone = [train(both.model_copy(update={"horizons": (h,)}), corpus, log=no_log)[0] for h in both.horizons]
    assert [m.loss for m in found] == [m.loss for m in alone]
    assert found[0].trained_tokens == both.tokens == max(both.horizons) < tiny_trial().tokens


def test_the_reading_is_part_of_the_id_and_the_default_is_not() -> None:
    """Ids of stored trials stay what they were before there was a choice."""
    trial = tiny_trial()
    assert "read" not in trial.model_dump_json()
    assert tiny_trial().id == "8259ce035e44759a"
    assert tiny_trial(schedule=EMA).id != trial.id and tiny_trial(schedule=EMA).trunk_id != trial.trunk_id
    assert type(trial).model_validate_json(tiny_trial(schedule=EMA).model_dump_json()).schedule.read == "ema"


def test_the_average_needs_memory() -> None:
    sizes = [memory_bytes(tiny_trial(schedule=s), compiled=False) for s in (EMA, ScheduleConfig(warmup_tokens=128))]
    shape = tiny_trial().shape
    assert sizes[0] - sizes[1] == 8 * (shape.n_total + shape.n_embedding)


def test_a_schedule_without_a_trunk_has_nothing_to_average() -> None:
    with pytest.raises(ValueError, match="read: a cosine schedule has no trunk"):
        ScheduleConfig(warmup_tokens=1, kind="cosine", read="ema")
