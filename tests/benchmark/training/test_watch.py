"""What is watched in training: planted faults show with their number, and watching changes nothing."""

import math
from pathlib import Path

import pytest
import torch

from lrladder.benchmark.training.loop import Loop
from lrladder.benchmark.training.train import train
from lrladder.benchmark.training.watch import EVERY, Watch
from tests.benchmark.trials import BATCH, tiny_corpus, tiny_trial


def _loop(tmp_path: Path) -> Loop:
    return Loop(tiny_trial(), tiny_corpus(tmp_path), lambda row: None)


def test_a_dead_expert_is_counted(tmp_path: Path) -> None:
    loop = _loop(tmp_path)
    try:
        share = [0.5, 0.3, 0.2, 0.0, 0.4, 0.2, 0.2, 0.2]
        for step in range(EVERY):
            loop.watch.take(step, 1.0, share)
        found = loop.watch.read_diverged([5.0])
        assert found["dead_experts"] == 0.25
        assert found["max_load"] == pytest.approx((2.0 + 1.6) / 2)  # 0.5 and 0.4 of four experts' loads
        assert found["max_violation_train"] == pytest.approx(1.0)
        assert found["initial_loss"] == 5.0
    finally:
        loop.engine.destroy()


def test_the_largest_load_is_that_of_the_last_tenth(tmp_path: Path) -> None:
    """The same in every block, whatever their number: 40 steps, of which the last four count."""
    loop = _loop(tmp_path)
    try:
        for step in range(40):
            uneven = {37: 0.5, 38: 0.75}.get(step, 0.25) if step >= 36 else 1.0
            loop.watch.take(step, 1.0, 2 * [uneven, *3 * [(1 - uneven) / 3]])
        assert loop.watch.read_diverged([5.0])["max_load"] == pytest.approx((1 + 2 + 3 + 1) / 4)
    finally:
        loop.engine.destroy()


def test_a_gradient_spike_is_counted(tmp_path: Path) -> None:
    loop = _loop(tmp_path)
    try:
        for step in range(100):
            loop.watch.take(step, 50.0 if step == 80 else 1.0 + 0.01 * (step % 3), [0.25] * 8)
        found = loop.watch.read_diverged([4.0] * 100)
        assert (found["grad_spikes"], found["grad_spike_steps"], found["loss_spikes"]) == (1, 1, 0)
        assert found["grad_spike_area"] == pytest.approx(49, abs=0.1)
    finally:
        loop.engine.destroy()


def test_every_finished_run_tells_all_and_a_diverged_one_what_it_can(tmp_path: Path) -> None:
    corpus = tiny_corpus(tmp_path)
    rows: list[dict[str, object]] = []
    (first, last) = train(tiny_trial(), corpus, log=rows.append)
    for name in ("feature_change/1", "alignment_ratio/router", "activation_rms/0", "log_z"):
        assert math.isfinite(last.metrics[name]) and last.metrics[name] != first.metrics[name]
    assert 0 < last.metrics["update_ratio/expert_up"] < 1
    assert last.metrics["attention_logit_max"] > 0
    assert {row["step"] for row in rows} == {0, EVERY}
    (lost, _) = train(tiny_trial(lr=1e4), corpus, log=lambda row: None)
    assert lost.verdict == "diverged" and lost.metrics["initial_loss"] > 0
    assert all(math.isfinite(value) for value in lost.metrics.values())


def test_watching_changes_no_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def weights() -> list[torch.Tensor]:
        loop = _loop(tmp_path)
        loop.train_to(20 * BATCH, horizon=20 * BATCH)
        found = [param.detach().clone() for param in loop.engine.module.parameters()]
        loop.engine.destroy()
        return found

    watched = weights()
    monkeypatch.setattr(Watch, "before_step", lambda *args: None)
    monkeypatch.setattr(Watch, "after_step", lambda *args, **kwargs: None)
    assert all(torch.equal(a, b) for a, b in zip(watched, weights(), strict=True))


def test_the_steady_state_is_where_adamw_on_noise_ends() -> None:
    """RMS(w) = sqrt(lr / (2 weight_decay)) for AdamW whose gradients say nothing."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.zeros(4000, requires_grad=True)
    optimizer = torch.optim.AdamW([weight], lr=0.01, weight_decay=1.0, betas=(0.9, 0.95))
    for _ in range(600):
        weight.grad = torch.randn(4000, generator=generator)
        optimizer.step()
    assert weight.square().mean().sqrt().item() == pytest.approx(math.sqrt(0.01 / 2), rel=0.15)
