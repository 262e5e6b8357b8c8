"""One training run that can be stopped, branched and continued: engine, data position, losses and what is watched."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lrladder.benchmark.lab.trial import Trial, branch_point, reference
from lrladder.benchmark.schedules import factor
from lrladder.benchmark.training.checkpoints import (
    STOP,
    Clock,
    EngineState,
    Known,
    Position,
    Reading,
    Stored,
    copied_state,
    live_state,
    load,
    put_back,
    save,
)
from lrladder.benchmark.training.corpus import Corpus
from lrladder.benchmark.training.metrics import DivergenceRule, clip_gradients
from lrladder.benchmark.training.optimizer import build_engine, set_lrs
from lrladder.benchmark.training.watch import EVERY, PROBE_WINDOWS, Watch
from lrladder.models.compiled import compile_blocks
from lrladder.models.transformer import next_token_loss

Log = Callable[[dict[str, object]], None]


class Diverged(Exception):
    """A training result: the LR was too high. The message says where and by which rule."""


class Snapshot(NamedTuple):
    position: Position
    state: EngineState


class Run:
    """The moving parts of one trial. `trunk` is where the decay that is going on began, to `decaying_to` tokens."""

    def __init__(
        self, trial: Trial, corpus: Corpus, log: Log, *, path: Path | None = None, compiled: bool = False
    ) -> None:
        self.trial, self.corpus, self.log, self.path, self.clock = trial, corpus, log, path, Clock()
        self.engine: Any = build_engine(trial)
        device = self.engine.device
        probe = torch.from_numpy(corpus.val_windows[:PROBE_WINDOWS, :-1].astype("int64")).to(device)
        self.watch = Watch(self.engine, probe)
        self.rule = DivergenceRule(trial.shape.vocab_size)
        self.step, self.losses = 0, list[float]()
        self.readings: dict[int, Reading] = {}
        self.ended: str | None = None  # why the trunk has diverged
        self.trunk: Snapshot | None = None
        self.decaying_to: int | None = None
        self.trained_tokens, self._seconds_before, self._started = 0, 0.0, time.perf_counter()
        # A GPU is not waited for at every step: its numbers are taken in together, at every probe.
        self._take_every = EVERY if device.type == "cuda" else 1
        self._queue: list[tuple[int, Tensor]] = []
        loss = compile_blocks(self.engine.module, batch=len(self._batch())) if compiled else None
        self.loss, self.compiled = loss or next_token_loss, loss is not None
        if compiled and not self.compiled:
            log({"note": "trained uncompiled: what torch compiled gives other gradients than the model as written"})

    @property
    def tokens(self) -> int:
        return self.step * self.trial.batch_tokens

    @property
    def seconds(self) -> float:
        return self._seconds_before + time.perf_counter() - self._started

    def train_to(self, tokens: int, *, horizon: int) -> None:
        """Train until `tokens` are consumed, on the LR schedule of `horizon`. Raises Diverged, and SystemExit when told
        to end.
        """
        trial = self.trial
        while self.tokens < tokens:
            lr = trial.lr * factor(
                trial.schedule, self.tokens, batch_tokens=trial.batch_tokens, horizon=horizon, at=reference(trial)
            )
            set_lrs(self.engine, lr)
            self._step(lr, decaying=self.tokens >= branch_point(horizon, trial))
            if self.path is not None and self.clock.due():
                self._take_in()
                self._save(self.path)
            if STOP.is_set():
                raise SystemExit(128 + signal.SIGTERM)
        self._take_in()

    def _step(self, lr: float, *, decaying: bool) -> None:
        engine, settings, step = self.engine, self.trial.optimizer, self.step
        tokens = self._batch()
        output = engine(tokens[:, :-1])
        loss = self.loss(output, tokens[:, 1:])
        engine.backward(loss + settings.aux_loss_coef * output.load_balance + settings.z_loss_coef * output.router_z)
        norm = clip_gradients(engine.module.parameters(), settings.grad_clip)
        self.watch.before_step(step)
        engine.step()
        if norm is None:  # ZeRO keeps gradients in parts of its own, and clips them
            norm = torch.as_tensor(engine.get_global_grad_norm(), dtype=torch.float32)
        self._queue.append((step, torch.cat((loss.detach()[None], norm.to(loss.device)[None], output.load.flatten()))))
        self.step += 1
        self.trained_tokens += self.trial.batch_tokens
        if step % self._take_every == 0:
            self._take_in()
        if (seen := self.watch.after_step(step, decaying=decaying)) is not None:
            row = {"step": step, "tokens": step * self.trial.batch_tokens, "lr": lr, "loss": self.losses[-1]}
            self.log({**row, "grad_norm": norm.item(), "load_balance": output.load_balance.item(), **seen})

    def _batch(self) -> Tensor:
        """This rank's share of the step's windows [B, S + 1]; all of them at one rank."""
        trial = self.trial
        windows = self.corpus.batch(
            step=self.step, batch_tokens=trial.batch_tokens, seq_len=trial.shape.seq_len, seed=trial.seed
        )
        world, rank = torch.distributed.get_world_size(), torch.distributed.get_rank()
        share = len(windows) // world
        tokens, device = torch.from_numpy(windows[rank * share : (rank + 1) * share]), self.engine.device
        # from pinned memory, as a plain copy waits for the steps that a GPU has not finished
        return tokens.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tokens

    def _take_in(self) -> None:
        """Take in the numbers of the steps since the last time. Raises Diverged, at the first step that has."""
        if not self._queue:
            return
        steps, values = zip(*self._queue, strict=True)
        self._queue.clear()
        for step, (loss, norm, *loads) in zip(steps, torch.stack(values).tolist(), strict=True):
            self.losses.append(loss)
            self.watch.take(step, norm, loads)
            if reason := self.rule.reason(self.losses):
                raise Diverged(f"{reason} at step {step}")

    def snapshot(self) -> Snapshot:
        return Snapshot(self._position(), copied_state(self.engine))

    def return_to(self, snapshot: Snapshot) -> None:
        self._queue.clear()
        put_back(self.engine, snapshot.state)
        self._place(snapshot.position)

    def _position(self) -> Position:
        return Position(self.step, list(self.losses), self.watch.state)

    def _place(self, position: Position) -> None:
        self.step, self.losses, self.watch.state = position.step, list(position.losses), position.watch

    def known(self) -> Known:
        trunk = self.trunk and self.trunk.position
        return Known(self._position(), trunk, self.decaying_to, self.readings, self.ended)

    def _save(self, path: Path) -> None:
        """A checkpoint of a run that is not over. A full disk stops no training."""
        began = time.monotonic()
        known = self.known()._replace(seconds=self.seconds, trained_tokens=self.trained_tokens)
        try:
            save(path, Stored(known, live_state(self.engine), self.trunk and self.trunk.state))
        except OSError as error:
            self.log({"note": f"no checkpoint could be written: {error}"})
        self.clock.saved(time.monotonic() - began)

    def resume(self) -> None:
        """Go to where the run's file says it stands, if that serves; else stay at the start."""
        trial = self.trial
        stored = load(self.path) if self.path is not None else None
        branches = [branch_point(horizon, trial) for horizon in trial.horizons]
        if stored is None or not stored.serves(trial.horizons, branches, trial.batch_tokens):
            return
        known = stored.known
        self.readings, self.ended = known.readings, known.ended
        self._seconds_before, self.trained_tokens = known.seconds, known.trained_tokens
        unread = [horizon for horizon in trial.horizons if horizon not in known.readings]
        in_decay = known.trunk is not None and known.decaying_to in unread[:1]  # the next one to be read
        if stored.trunk is not None and known.trunk is not None:
            self.return_to(Snapshot(known.trunk, stored.trunk))
        if in_decay:
            self.trunk, self.decaying_to = self.snapshot(), known.decaying_to
        if in_decay or known.trunk is None:
            self._place(known.now)
            if stored.now is not None:
                put_back(self.engine, stored.now)
        self.log({"continued_from_tokens": self.tokens})
