"""Times the training step of several implementations of one rung in turns, so that other load slows all equally."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median
from typing import Any

import torch

from lrladder.benchmark.checks.bench.peak import Peak, seconds
from lrladder.benchmark.checks.bench.peer import IMPLEMENTATIONS, Step, mixtral_step
from lrladder.benchmark.environment import gpu_bytes
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.training.corpus import Corpus
from lrladder.benchmark.training.loop import Loop
from lrladder.benchmark.training.memory import memory_bytes
from lrladder.benchmark.training.optimizer import betas, build_model, groups
from lrladder.models.transformer import Output, next_token_loss

OURS, UNCOMPILED, PLAIN, PEER = "ours", "uncompiled", "plain", "mixtral "


def seconds_per_step(
    trial: Trial, corpus: Corpus, *, rounds: int, steps: int, compiled: bool
) -> tuple[dict[str, list[float]], Peak]:
    """Seconds per step by implementation, one value per round, and the peak of products, timed in the same rounds.

    The first round, which compiles, is left out.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loops = {OURS: Loop(trial, corpus, lambda row: None, compiled=compiled)}
    room = gpu_bytes()
    if loops[OURS].compiled and (room is None or 3 * memory_bytes(trial) < room):  # all models are in memory at once
        loops[UNCOMPILED] = Loop(trial, corpus, lambda row: None)
    contestants: dict[str, Step] = {PLAIN: plain_step(trial, device)}
    once = partial(_steps, contestants[PLAIN], trial, corpus, 1, device)
    peak = Peak(once, device, torch.bfloat16 if device.type == "cuda" else torch.float32)
    contestants |= {PEER + name: mixtral_step(trial, name, device) for name in IMPLEMENTATIONS}
    works: dict[str, Callable[[], object]] = {name: partial(engine_steps, loop, steps) for name, loop in loops.items()}
    works |= {name: partial(_steps, step, trial, corpus, steps, device) for name, step in contestants.items()}
    found: dict[str, list[float]] = {name: [] for name in works}
    try:
        for turn in range(rounds + 1):
            for name, work in works.items():
                taken = seconds(work, device) / steps
                if turn:
                    found[name].append(taken)
            if turn:
                peak.turn()
    finally:
        for loop in loops.values():
            loop.engine.destroy()
    return found, peak


def startup_seconds(trial: Trial, corpus: Corpus) -> float:
    """Seconds to set up a trial up to its first step, in a process that has trained one before."""
    times = []
    for _ in range(4):
        began = time.perf_counter()
        loop = Loop(trial, corpus, lambda row: None)
        times.append(time.perf_counter() - began)
        loop.engine.destroy()
    return median(times[1:])


def engine_steps(loop: Loop, steps: int) -> None:
    """Train steps as in a trial, with engine, logs and watch. After the end of the run it starts again."""
    horizon = max(loop.trial.horizons)
    if loop.tokens + steps * loop.trial.batch_tokens > horizon:
        loop.step = 0
    loop.train_to(loop.tokens + steps * loop.trial.batch_tokens, horizon=horizon)


def _steps(step: Step, trial: Trial, corpus: Corpus, steps: int, device: torch.device) -> None:
    for i in range(steps):
        batch = corpus.batch(step=i, batch_tokens=trial.batch_tokens, seq_len=trial.shape.seq_len, seed=trial.seed)
        step(torch.from_numpy(batch).to(device))


def plain_step(trial: Trial, device: torch.device) -> Step:
    """A step with our model and parameter groups, without DeepSpeed and without the watch."""
    model, optimizer = model_and_optimizer(trial, device)

    def step(tokens_bs: torch.Tensor) -> None:
        output = model(tokens_bs[:, :-1])
        loss = next_token_loss(output, tokens_bs[:, 1:])
        (loss + router_loss(trial, output)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), trial.optimizer.grad_clip)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()

    return step


def model_and_optimizer(trial: Trial, device: torch.device) -> tuple[Any, torch.optim.Optimizer]:
    """Our model with its parameter groups."""
    built = build_model(trial)
    model = built.model.to(device)
    return model, torch.optim.AdamW(groups(trial, model, built.rules), betas=betas(trial), fused=True)


def router_loss(trial: Trial, output: Output) -> torch.Tensor:
    """The losses of the router in a pass alone, with their coefficients."""
    settings = trial.optimizer
    return settings.aux_loss_coef * output.load_balance + settings.z_loss_coef * output.router_z


def best_peer(found: Mapping[str, list[float]]) -> str:
    """The fastest implementation of the peer."""
    return min((name for name in found if name.startswith(PEER)), key=lambda name: median(found[name]))
