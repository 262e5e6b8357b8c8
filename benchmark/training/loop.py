"""The step loop of a trial: engine, data position, and the LR of each step."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from lrladder.benchmark.lab.trial import Trial, branch_point, reference
from lrladder.benchmark.schedules import factor
from lrladder.benchmark.training import averaging, compiling
from lrladder.benchmark.training.accumulation import Accumulation, Step
from lrladder.benchmark.training.checkpoints import Position, Snapshot
from lrladder.benchmark.training.corpus import Corpus
from lrladder.benchmark.training.divergence import DivergenceRule, StepNumbers
from lrladder.benchmark.training.metrics import Validation, clip_gradients, validate, validate_by_window
from lrladder.benchmark.training.optimizer import build_engine, set_lrs, share_of
from lrladder.benchmark.training.ranks import Ranks
from lrladder.benchmark.training.state import (
    EngineState,
    copied_state,
    holds_whole,
    put_back,
    restore,
    whole_state,
    whole_weights,
)
from lrladder.benchmark.training.watch import EVERY, PROBE_WINDOWS, Watch
from lrladder.models.balance import balance
from lrladder.models.compiled import compile_blocks
from lrladder.models.transformer import next_token_loss

Log = Callable[[dict[str, object]], None]


class Loop:
    """The engine of one trial and its position in training. It reads and writes no files.

    `compiled` becomes False if the gradients of the compiled model differ from those of the uncompiled model.
    """

    def __init__(
        self, trial: Trial, corpus: Corpus, log: Log, *, micro_batch: int | None = None, compiled: bool = False
    ) -> None:
        self.trial, self.corpus, self.log = trial, corpus, log
        self.engine: Any = build_engine(trial, micro_batch)
        self.ranks = Ranks()
        self._share = share_of(trial)
        device = self.engine.device
        probe = torch.from_numpy(corpus.val_windows[:PROBE_WINDOWS, :-1].astype("int64")).to(device)
        self.watch = Watch(self.engine, probe)
        self.numbers = StepNumbers(self.watch, DivergenceRule(trial.shape.vocab_size))
        self.step = 0
        self.trained_tokens = 0  # by this process, with the steps of all branches
        # So that no step waits for the GPU, its numbers are read together at every probe.
        self.read_every = EVERY if device.type == "cuda" else 1
        self.micro_batch = micro_batch or self._share
        self._parameters = list(self.engine.module.parameters())
        self._accumulation = Accumulation(self.engine, self.ranks, trial, self.micro_batch)
        compiled = compiled and compiling.is_possible(trial)
        loss = compile_blocks(self.engine.module, batch=self.micro_batch) if compiled else None
        self.engine.module.loss_of, self.compiled = loss or next_token_loss, loss is not None
        if compiled and not self.compiled:
            log(
                {"note": "trained uncompiled, because the compiled model gives other gradients than the uncompiled one"}
            )

    @property
    def tokens(self) -> int:
        """Tokens that have been trained on at this position."""
        return self.step * self.trial.batch_tokens

    @property
    def losses(self) -> list[float]:
        """Training loss in nats per token of every step that has been read."""
        return self.numbers.losses

    def train_to(self, tokens: int, *, horizon: int) -> None:
        """Train until `tokens` are consumed, with the LR schedule for `horizon`. Raises Diverged."""
        for _ in self.steps_to(tokens, horizon=horizon):
            pass

    def steps_to(self, tokens: int, *, horizon: int) -> Iterator[None]:
        """As `train_to`, but yields after each step. At the end all numbers are read."""
        trial = self.trial
        while self.tokens < tokens:
            lr = trial.lr * factor(
                trial.schedule, self.tokens, batch_tokens=trial.batch_tokens, horizon=horizon, at=reference(trial)
            )
            set_lrs(self.engine, lr)
            self._step(lr, decaying=self.tokens >= branch_point(horizon, trial))
            yield
        self.numbers.read()

    def _step(self, lr: float, *, decaying: bool) -> None:
        step = self.step
        found = self._accumulation.backward(self._batch())
        loss = self._loss_of(found)
        norm = self._update()
        self._balance(found.load)
        self.numbers.add(step, loss, norm, found.load)
        self.step += 1
        if self.trial.schedule.read == "ema":
            averaging.add_step(self.engine, self.step, self.trial.schedule.average_exponent)
        self.trained_tokens += self.trial.batch_tokens
        if step % self.read_every == 0:
            self.numbers.read()
        if (seen := self.watch.after_step(step, decaying=decaying)) is not None:
            row = {"step": step, "tokens": step * self.trial.batch_tokens, "lr": lr, "loss": self.losses[-1]}
            self.log({**row, "grad_norm": norm.item(), "load_balance": found.load_balance.item(), **seen})

    def _update(self) -> Tensor:
        """One optimizer step. Returns the L2 norm of the gradient before clipping."""
        norm = clip_gradients(self._parameters, self.trial.optimizer.grad_clip)
        self.watch.before_step(self.step)
        self.engine.step()
        if norm is None:  # ZeRO holds the gradients in partitions, and clips them
            norm = torch.as_tensor(self.engine.get_global_grad_norm(), dtype=torch.float32)
        return norm

    def _balance(self, load_le: Tensor) -> None:
        """The experts' biases after a step with these loads, which are those of all ranks."""
        trial = self.trial
        if trial.shape.architecture.expert_bias:
            assignments = trial.batch_tokens * trial.shape.top_k
            balance(self.engine.module, load_le, rate=trial.optimizer.bias_rate, assignments=assignments)

    def _loss_of(self, found: Step) -> Tensor:
        """The loss of a step; nan after ZeRO has skipped a step with a gradient that is not finite.

        Without ZeRO such a step makes the weights nan, and the next loss with them.
        """
        return found.loss * math.nan if self.engine.skipped_steps else found.loss

    def _batch(self) -> Tensor:
        """This rank's share of the windows [B, S + 1] of the step; with one rank all of them."""
        trial = self.trial
        windows = self.corpus.batch(
            step=self.step, batch_tokens=trial.batch_tokens, seq_len=trial.shape.seq_len, seed=trial.seed
        )
        tokens, device = self.ranks.share(torch.from_numpy(windows)), self.engine.device
        # from pinned memory, because a plain copy waits until the GPU has finished its steps
        return tokens.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tokens

    @property
    def position(self) -> Position:
        """The position now, without the tensors."""
        return Position(self.step, list(self.losses), self.watch.state)

    def place(self, position: Position) -> None:
        """Set the position, without changing the engine."""
        self.step, self.watch.state = position.step, position.watch
        self.numbers.return_to(position.losses)

    def snapshot(self) -> Snapshot:
        """The position with copies of this rank's tensors, to which `return_to` can return."""
        return Snapshot(self.position, copied_state(self.engine))

    def return_to(self, snapshot: Snapshot) -> None:
        """Set the engine and the position back to a snapshot."""
        put_back(self.engine, snapshot.state)
        self.place(snapshot.position)

    def validate(self) -> Validation:
        """The validation loss of the model as it is now. All ranks must call this."""
        windows = self.corpus.val_windows
        if self.engine.zero_optimization_stage() < 3:
            return validate(self.engine.module, windows)
        return validate_by_window(self.engine, self.ranks, windows)

    def whole(self, snapshot: Snapshot | None = None) -> EngineState:
        """The whole state now, or at a snapshot, on the first rank. All ranks must call this."""
        if snapshot is None:
            return whole_state(self.engine, self.ranks)
        if holds_whole(self.engine):
            return snapshot.state
        now = copied_state(self.engine)
        put_back(self.engine, snapshot.state)
        found = whole_state(self.engine, self.ranks)
        put_back(self.engine, now)
        return found

    def weights(self) -> dict[str, Tensor]:
        """Parameters and buffers of the model as it is now, by name, on the first rank. All ranks must call this."""
        return whole_weights(self.engine, self.ranks)

    def restore(self, whole: EngineState) -> None:
        """Set the engine to a whole state, which only the first rank needs to have. All ranks must call this."""
        restore(self.engine, whole, self.ranks)
