"""One trial, read top to bottom: a trunk trained once, and a decay branch from it for each horizon."""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
import torch.nn.functional as F

from benchmark.lab.trial import Trial, branch_point, reference
from benchmark.schedules import factor
from benchmark.training.checkpoints import (
    Reading,
    StoredTrunk,
    TrunkState,
    load_trunk,
    restore_trunk,
    save_trunk,
)
from benchmark.training.corpus import Corpus
from benchmark.training.metrics import DivergenceRule, grad_norm, validate
from benchmark.training.optimizer import build_engine, set_lrs, tau_ema
from benchmark.training.watch import PROBE_WINDOWS, Watch
from models.experts import gemm_of
from paradigms.base import Measurement

Log = Callable[[dict[str, object]], None]
LOSSES_READ = 16  # steps whose mean is the training loss of a reading


class Diverged(Exception):
    """A training result: the LR was too high. The message says where and by which rule."""


class Run:
    """The moving parts of one trial: engine, data position (step) and training losses so far."""

    def __init__(self, trial: Trial, corpus: Corpus, log: Log) -> None:
        self.trial, self.corpus, self.log = trial, corpus, log
        self.engine: Any = build_engine(trial)
        probe = torch.from_numpy(corpus.val_windows[:PROBE_WINDOWS, :-1].astype("int64")).to(self.engine.device)
        self.watch = Watch(self.engine, probe, precision=trial.precision)
        self.rule = DivergenceRule(trial.shape.vocab_size)
        self.step = 0
        self.losses: list[float] = []
        self.ended: str | None = None  # why the trunk has diverged
        self.trained_tokens = 0

    @property
    def tokens(self) -> int:
        return self.step * self.trial.batch_tokens

    def train_to(self, tokens: int, *, horizon: int) -> None:
        """Train until `tokens` are consumed, on the LR schedule of `horizon`. Raises Diverged."""
        trial = self.trial
        while self.tokens < tokens:
            lr = trial.lr * factor(
                trial.schedule, self.tokens, batch_tokens=trial.batch_tokens, horizon=horizon, at=reference(trial)
            )
            set_lrs(self.engine, lr)
            self._step(lr, decaying=self.tokens >= branch_point(horizon, trial))

    def _step(self, lr: float, *, decaying: bool) -> None:
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
        norm = grad_norm(engine.module.parameters())
        self.watch.before_step(self.step, norm, output.load)
        engine.step()
        if (seen := self.watch.after_step(self.step, decaying=decaying)) is not None:
            row = {"step": self.step, "tokens": self.tokens, "lr": lr, "loss": self.losses[-1], "grad_norm": norm}
            self.log({**row, "load_balance": output.load_balance.item(), **seen})
        self.step += 1
        self.trained_tokens += trial.batch_tokens


def _local_part(batch: Any) -> Any:
    """This rank's share of the sequences; the whole batch at one rank."""
    world, rank = torch.distributed.get_world_size(), torch.distributed.get_rank()
    share = len(batch) // world
    return batch[rank * share : (rank + 1) * share]


def train(trial: Trial, corpus: Corpus, *, log: Log, trunks: Path | None = None) -> list[Measurement]:
    """Train one trial and read it at each horizon, shortest first. A divergence is a result, not an error.

    With a folder `trunks` the trunk is kept there, and one that is there already is continued.
    """
    started = time.perf_counter()
    corpus.require(max(trial.horizons))
    run = Run(trial, corpus, log)
    path = trunks / f"{trial.trunk_id}.pt" if trunks is not None and trial.schedule.has_trunk else None
    try:
        known = _resume(run, path)
        readings = _read_all(run, known)
        if path is not None:
            _keep(run, path, {**known, **readings})
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
            verdict=readings[horizon][0],
            flops=trial.flops,
            seconds=seconds,
            trained_tokens=run.trained_tokens,
            role_lrs=trial.role_lrs,
            expert_gemm=gemm_of(trial.expert_backend) if trial.shape.num_experts > 1 else None,
            **readings[horizon][1],
        )
        for horizon in trial.horizons
    ]


def _resume(run: Run, path: Path | None) -> dict[int, Reading]:
    """Put the run where a stored trunk of the trial stands; returns what was read from it before."""
    if path is None or not path.exists():
        return {}
    trunk, state = load_trunk(path)
    trial = run.trial
    branches = tuple(branch_point(horizon, trial) for horizon in trial.horizons)
    if trunk.watch is None or not trunk.serves(trial.horizons, branches, trial.batch_tokens):
        return {}
    run.step, run.losses, run.ended = trunk.step, list(trunk.losses), trunk.ended
    run.watch.state = trunk.watch
    if trunk.ended is None:
        restore_trunk(run.engine, state)
    run.log({"continued_from_tokens": run.tokens})
    return trunk.readings


def _read_all(run: Run, known: Mapping[int, Reading]) -> dict[int, Reading]:
    """Every horizon of the trial; once the trunk itself has diverged, no later one can be read."""
    readings = {horizon: known[horizon] for horizon in run.trial.horizons if horizon in known}
    for horizon in run.trial.horizons:
        if horizon not in readings and run.ended is None:
            try:
                readings[horizon] = read_horizon(run, horizon)
            except Diverged as reason:
                run.ended = str(reason)
    if run.ended is not None:
        lost: Reading = ("diverged", {"message": run.ended, "metrics": run.watch.read_diverged(run.losses)})
        readings |= {h: lost for h in run.trial.horizons if h not in readings}
    return readings


def _keep(run: Run, path: Path, readings: dict[int, Reading]) -> None:
    trunk = StoredTrunk(run.step, run.losses, readings, run.watch.state, run.ended)
    if not save_trunk(path, run.engine, trunk):
        run.log({"note": "the trunk is too large to be kept; longer horizons will train anew"})


def read_horizon(run: Run, horizon: int) -> Reading:
    """Take the trunk to the branch point, decay to zero and validate; the trunk is left as it was there."""
    run.train_to(branch_point(horizon, run.trial), horizon=horizon)
    trunk, step, num_losses, watched = TrunkState(run.engine), run.step, len(run.losses), run.watch.state
    try:
        run.train_to(horizon, horizon=horizon)
        return _reading(run)
    except Diverged as reason:
        return "diverged", {"message": str(reason), "metrics": run.watch.read_diverged(run.losses)}
    finally:
        trunk.restore()
        run.step, run.losses, run.watch.state = step, run.losses[:num_losses], watched


def _reading(run: Run) -> Reading:
    run.engine.eval()
    found = validate(run.engine.module, run.corpus.val_windows)
    run.engine.train()
    if not math.isfinite(found.loss) or found.loss > run.rule.limit:
        return "diverged", {
            "message": f"validation loss {found.loss:.3f} is above {run.rule.limit:.3f}, no better than a guess",
            "metrics": run.watch.read_diverged(run.losses),
        }
    metrics = {
        **run.watch.read(run.losses),
        "train_loss": fmean(run.losses[-LOSSES_READ:]),
        "max_violation": found.max_violation,
    }
    if (tau := tau_ema(run.trial, run.tokens)) is not None:
        metrics["tau_ema"] = tau
    return "finished", {"loss": found.loss, "loss_se": found.loss_se, "metrics": metrics}
