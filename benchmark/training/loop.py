"""One trial, read top to bottom: a WSD trunk trained once, and a decay branch from it for each horizon."""

import math
import time
from collections.abc import Callable
from statistics import fmean
from typing import Any

import torch
import torch.nn.functional as F

from benchmark.lab.trial import Trial, branch_point
from benchmark.training.checkpoints import TrunkState
from benchmark.training.corpus import Corpus
from benchmark.training.metrics import DivergenceRule, count_spikes, grad_norm, validate
from benchmark.training.optimizer import build_engine, set_lrs, tau_ema
from benchmark.training.schedules import wsd
from paradigms.base import Measurement, Verdict

Log = Callable[[dict[str, object]], None]
LOG_EVERY = 16  # steps


class Diverged(Exception):
    """A training result: the LR was too high. The message says where and by which rule."""


class Run:
    """The moving parts of one trial: engine, data position (step) and training losses so far."""

    def __init__(self, trial: Trial, corpus: Corpus, log: Log) -> None:
        self.trial, self.corpus, self.log = trial, corpus, log
        self.engine: Any = build_engine(trial)
        self.rule = DivergenceRule(trial.shape.vocab_size)
        self.step = 0
        self.losses: list[float] = []

    @property
    def tokens(self) -> int:
        return self.step * self.trial.batch_tokens

    def train_to(self, tokens: int, *, horizon: int) -> None:
        """Train until `tokens` are consumed, on the LR schedule of `horizon`. Raises Diverged."""
        trial = self.trial
        decay_start = branch_point(horizon, trial)
        while self.tokens < tokens:
            factor = wsd(
                self.tokens,
                batch_tokens=trial.batch_tokens,
                warmup=trial.schedule.warmup_tokens,
                decay_start=decay_start,
                horizon=horizon,
            )
            set_lrs(self.engine, trial.lr * factor)
            self._step(trial.lr * factor)

    def _step(self, lr: float) -> None:
        trial, engine = self.trial, self.engine
        batch = self.corpus.batch(
            step=self.step, batch_tokens=trial.batch_tokens, seq_len=trial.shape.seq_len, seed=trial.seed
        )
        tokens = torch.from_numpy(_local_part(batch)).to(engine.device)
        output = engine(tokens[:, :-1])
        loss = F.cross_entropy(output.logits.float().flatten(0, 1), tokens[:, 1:].flatten())
        self.losses.append(loss.item())
        if reason := self.rule.reason(self.losses):  # before backward: a branch must leave the trunk no gradients
            raise Diverged(f"{reason} at step {self.step}, lr {lr:.3g}")
        settings = trial.optimizer
        engine.backward(loss + settings.load_balance * output.load_balance + settings.router_z * output.router_z)
        if self.step % LOG_EVERY == 0:
            norm = grad_norm(engine.module.parameters())
            row = {"step": self.step, "tokens": self.tokens, "lr": lr, "loss": self.losses[-1], "grad_norm": norm}
            self.log({**row, "load_balance": output.load_balance.item(), "router_z": output.router_z.item()})
        engine.step()
        self.step += 1


def _local_part(batch: Any) -> Any:
    """This rank's share of the sequences; the whole batch at one rank."""
    world, rank = torch.distributed.get_world_size(), torch.distributed.get_rank()
    share = len(batch) // world
    return batch[rank * share : (rank + 1) * share]


def train(trial: Trial, corpus: Corpus, *, log: Log) -> list[Measurement]:
    """Train one trial and read it at each horizon, shortest first. A divergence is a result, not an error."""
    started = time.perf_counter()
    corpus.require(max(trial.horizons))
    run = Run(trial, corpus, log)
    readings: list[tuple[int, Verdict, dict[str, Any]]] = []
    try:
        for horizon in trial.horizons:
            readings += [(horizon, *read_horizon(run, horizon))]
    except Diverged as reason:  # the trunk itself: no later horizon can be read
        done = {horizon for horizon, *_ in readings}
        readings += [(h, "diverged", {"message": str(reason)}) for h in trial.horizons if h not in done]
    finally:
        run.engine.destroy()
    seconds = time.perf_counter() - started
    return [
        Measurement(
            trial_id=trial.id,
            rung="",  # labels of the study, put there by the lab
            parametrization="",
            lr=trial.lr,
            seed=trial.seed,
            horizon=horizon,
            verdict=verdict,
            flops=trial.flops,
            seconds=seconds,
            **found,
        )
        for horizon, verdict, found in readings
    ]


def read_horizon(run: Run, horizon: int) -> tuple[Verdict, dict[str, Any]]:
    """Take the trunk to the branch point, decay to zero and validate; the trunk is left as it was there."""
    run.train_to(branch_point(horizon, run.trial), horizon=horizon)
    trunk, step, num_losses = TrunkState(run.engine), run.step, len(run.losses)
    try:
        run.train_to(horizon, horizon=horizon)
        return _reading(run)
    except Diverged as reason:
        return "diverged", {"message": str(reason)}
    finally:
        trunk.restore()
        run.step, run.losses = step, run.losses[:num_losses]


def _reading(run: Run) -> tuple[Verdict, dict[str, Any]]:
    run.engine.eval()
    found = validate(run.engine.module, run.corpus.val_windows)
    run.engine.train()
    if not math.isfinite(found.loss) or found.loss > run.rule.limit:
        return "diverged", {
            "message": f"validation loss {found.loss:.3f} is above {run.rule.limit:.3f}, no better than a guess"
        }
    metrics = {
        "train_loss": fmean(run.losses[-LOG_EVERY:]),
        "loss_spikes": float(count_spikes(run.losses)),
        "max_violation": found.max_violation,
    }
    if (tau := tau_ema(run.trial)) is not None:
        metrics["tau_ema"] = tau
    return "finished", {"loss": found.loss, "loss_se": found.loss_se, "metrics": metrics}
