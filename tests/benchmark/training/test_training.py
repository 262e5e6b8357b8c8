"""torch as the oracle of the engine's wiring; branches against straight runs; divergence as a result."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from lrladder.benchmark.config.training import TrainingSettings
from lrladder.benchmark.lab.trial import Trial, reference
from lrladder.benchmark.schedules import ScheduleConfig, factor
from lrladder.benchmark.training.corpus import Corpus
from lrladder.benchmark.training.loop import Loop
from lrladder.benchmark.training.optimizer import build_engine, set_lrs, tau_ema
from lrladder.benchmark.training.run import Run
from lrladder.benchmark.training.train import read_horizon, train
from lrladder.models import parametrization
from lrladder.models.rules import MUTRANSFER, STANDARD
from tests.benchmark.trials import BATCH, no_log, tiny_corpus, tiny_trial, wide_shape


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return tiny_corpus(tmp_path)


def _weights(loop: Loop) -> list[torch.Tensor]:
    return [param.detach().clone() for param in loop.engine.module.parameters()]


def _plain_torch(trial: Trial, corpus: Corpus, horizon: int) -> list[torch.Tensor]:
    """The same run without DeepSpeed, written out: model, AdamW, clipping, schedule."""
    model, rules = parametrization.build(
        trial.rules,
        trial.shape,
        trial.base.shape,
        backend="reference",
        embedding_std=trial.optimizer.embedding_std,
        seed=trial.seed,
    )
    settings = trial.optimizer
    groups = parametrization.param_groups(
        model, rules, lr=trial.lr, weight_decay=settings.weight_decay, eps=settings.eps
    )
    optimizer = torch.optim.AdamW(groups, betas=(settings.beta1, settings.beta2))
    for step in range(horizon // BATCH):
        now = factor(trial.schedule, step * BATCH, batch_tokens=BATCH, horizon=horizon, at=reference(trial))
        for group in optimizer.param_groups:
            group["lr"] = trial.lr * now * group["lr_multiplier"]
        tokens = torch.from_numpy(
            corpus.batch(step=step, batch_tokens=BATCH, seq_len=trial.shape.seq_len, seed=trial.seed)
        )
        output = model(tokens[:, :-1])
        loss = F.cross_entropy(output.logits.flatten(0, 1), tokens[:, 1:].flatten())
        (loss + settings.aux_loss_coef * output.load_balance + settings.z_loss_coef * output.router_z).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.grad_clip)
        optimizer.step()
        optimizer.zero_grad()
    return [param.detach() for param in model.parameters()]


@pytest.mark.parametrize("stage", [0, 1])
def test_engine_equals_plain_torch(stage: int, corpus: Corpus) -> None:
    trial = tiny_trial(shape=wide_shape(), lr=0.003, training=TrainingSettings(zero_stage=stage))
    loop = Loop(trial, corpus, no_log)
    horizon = trial.horizons[0]
    loop.train_to(horizon, horizon=horizon)
    for ours, plain in zip(_weights(loop), _plain_torch(trial, corpus, horizon), strict=True):
        torch.testing.assert_close(ours, plain, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("stage", [0, 1])
def test_branch_leaves_the_trunk_bit_identical(stage: int, corpus: Corpus) -> None:
    """Reading an early horizon on the way changes nothing of what the last horizon gives."""
    training = TrainingSettings(zero_stage=stage)
    both = train(tiny_trial(training=training), corpus, log=no_log)
    long = train(tiny_trial(training=training, horizons=(20 * BATCH,)), corpus, log=no_log)
    short = train(tiny_trial(training=training, horizons=(10 * BATCH,)), corpus, log=no_log)
    assert [m.loss for m in both] == [short[0].loss, long[0].loss]
    assert both[0].loss != both[1].loss


def test_restored_state_holds_weights_and_moments(corpus: Corpus) -> None:
    run = Run(tiny_trial(), corpus, no_log)
    loop = run.loop
    loop.train_to(5 * BATCH, horizon=20 * BATCH)
    before, trunk = _weights(loop), loop.snapshot()
    moments = [s["exp_avg"].clone() for s in loop.engine.basic_optimizer.state.values()]
    read_horizon(run, 10 * BATCH)
    assert loop.step == 8  # the branch point of the shorter horizon
    loop.return_to(trunk)
    assert all(torch.equal(a, b) for a, b in zip(before, _weights(loop), strict=True))
    now = [s["exp_avg"] for s in loop.engine.basic_optimizer.state.values()]
    assert all(torch.equal(a, b) for a, b in zip(moments, now, strict=True))


def test_same_trial_twice_gives_the_same_loss_and_learns(corpus: Corpus) -> None:
    first, second = (train(tiny_trial(), corpus, log=no_log) for _ in range(2))
    assert [m.loss for m in first] == [m.loss for m in second]
    assert first[-1].verdict == "finished" and first[-1].loss is not None and first[-1].loss < 4.0  # ln 64 = 4.16
    assert first[-1].loss_se is not None and first[-1].loss_se > 0


def test_seed_changes_data_and_init(corpus: Corpus) -> None:
    losses = {train(tiny_trial(seed=seed), corpus, log=no_log)[-1].loss for seed in (0, 1)}
    assert len(losses) == 2


@pytest.mark.parametrize("lr", [1e4, 1e38])
def test_divergence_is_a_result_at_every_horizon(lr: float, corpus: Corpus) -> None:
    measurements = train(tiny_trial(lr=lr, rules=STANDARD), corpus, log=no_log)
    assert [m.verdict for m in measurements] == ["diverged", "diverged"]
    assert all(m.loss is None and m.message for m in measurements)


def test_power_reaches_every_group_of_the_engine(corpus: Corpus) -> None:
    schedule = ScheduleConfig(warmup_tokens=BATCH, kind="power")
    loop = Loop(tiny_trial(shape=wide_shape(), schedule=schedule), corpus, no_log)
    loop.train_to(5 * BATCH, horizon=20 * BATCH)  # the last step began after 4 batches of the base's 20
    held = {group["lr_multiplier"]: group["lr"] for group in loop.engine.optimizer.param_groups}
    peak = 0.01 * (4 / 20) ** -0.51
    assert held == {1.0: pytest.approx(peak), 0.5: pytest.approx(peak / 2)}


def test_engine_holds_what_the_schedule_says(corpus: Corpus) -> None:
    loop = Loop(tiny_trial(shape=wide_shape()), corpus, no_log)
    set_lrs(loop.engine, 0.5)
    held = {group["lr_multiplier"]: group["lr"] for group in loop.engine.optimizer.param_groups}
    assert held == {1.0: 0.5, 0.5: 0.25}


def test_a_scheduler_that_overwrites_lrs_is_caught(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Loop(tiny_trial(shape=wide_shape()), corpus, no_log)
    one_lr: Any = [0.5] * len(loop.engine.optimizer.param_groups)
    monkeypatch.setattr(loop.engine, "get_lr", lambda: one_lr)
    with pytest.raises(AssertionError, match="the engine holds"):
        set_lrs(loop.engine, 0.5)


def test_log_rows_say_step_lr_and_loss(corpus: Corpus) -> None:
    rows: list[dict[str, object]] = []
    train(tiny_trial(), corpus, log=rows.append)
    assert {"step", "tokens", "lr", "loss", "grad_norm"} <= rows[0].keys()
    assert rows[0]["step"] == 0


def test_a_diverged_branch_leaves_nothing_in_the_trunk(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """A divergence planted in the first decay does not change what the second horizon gives."""
    clean = train(tiny_trial(), corpus, log=no_log)
    told = iter([None] * 9 + ["planted"])  # 8 steps of trunk, then the second step of the first decay
    monkeypatch.setattr(
        "lrladder.benchmark.training.divergence.DivergenceRule.reason", lambda self, losses: next(told, None)
    )
    marred = train(tiny_trial(), corpus, log=no_log)
    assert [m.verdict for m in marred] == ["diverged", "finished"]
    assert marred[1].loss == clean[1].loss


def test_a_run_that_learns_nothing_is_finished_not_diverged(corpus: Corpus) -> None:
    measurements = train(tiny_trial(lr=1e-8), corpus, log=no_log)
    assert [m.verdict for m in measurements] == ["finished", "finished"]


def test_tau_ema_is_what_the_groups_say_and_is_logged(corpus: Corpus) -> None:
    """Of the attention matrices: batch / (lr weight_decay tokens), at the peak LR."""
    roles = (("attention", 2.0), ("router", 8.0))
    trial = tiny_trial(shape=wide_shape(), rules=MUTRANSFER, horizons=(40 * BATCH,), role_lrs=roles)
    engine = build_engine(trial)
    groups = engine.optimizer.param_groups
    qkv = engine.module.blocks[0].attention.qkv
    (group,) = [g for g in groups if any(p is qkv for p in g["params"])]
    lr = trial.lr * group["lr_multiplier"]
    expected = pytest.approx(1 / (40 * lr * group["weight_decay"]))
    assert tau_ema(trial, groups, 40 * BATCH) == expected
    group["lr_multiplier"] *= 3
    assert tau_ema(trial, groups, 40 * BATCH) == pytest.approx(1 / (40 * 3 * lr * group["weight_decay"]))
    group["weight_decay"] = 0
    assert tau_ema(trial, groups, 40 * BATCH) is None
    engine.destroy()
    (measured,) = train(trial, corpus, log=no_log)
    assert measured.metrics["tau_ema"] == expected


def test_token_rules_reach_the_optimizer() -> None:
    """Twice the horizon: LR and decay by sqrt(1/2), eps by sqrt(2), 1 - beta by 1/2; roles are left to the table."""
    rules = MUTRANSFER.model_copy(update={"betas": True, "horizon": "sde"})
    held = {}
    for steps in (20, 40):
        engine = build_engine(tiny_trial(rules=rules, horizons=(steps * BATCH,)))
        held[steps] = [dict(group) for group in engine.optimizer.param_groups]
        engine.destroy()
    for short, long in zip(held[20], held[40], strict=True):
        assert long["lr_multiplier"] == pytest.approx(short["lr_multiplier"] * 0.5**0.5)
        assert long["weight_decay"] == pytest.approx(short["weight_decay"] * 0.5**0.5)
        assert long["eps"] == pytest.approx(short["eps"] * 2**0.5)
        assert [1 - beta for beta in long["betas"]] == pytest.approx([(1 - beta) / 2 for beta in short["betas"]])


def test_a_worker_starts_though_the_port_of_its_environment_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        env = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(taken.getsockname()[1])}
        code = (
            "from lrladder.benchmark.training.optimizer import start_deepspeed\n"
            "print(start_deepspeed().comm.get_world_size())"
        )
        found = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[-1] == "1"
