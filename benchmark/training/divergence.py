"""The rule for when a run has diverged, and the numbers of each step that it is applied to."""

import math
from statistics import fmean

import torch
from torch import Tensor

from lrladder.benchmark.training.watch import Watch

WINDOW = 16  # steps; assumption: with so many, one bad batch is not a divergence
MARGIN = 1.0  # nats above the loss of a uniform guess; assumption: no useful run recovers from there


class Diverged(Exception):
    """The run diverged. This is a result, not an error. The message has the step and the rule."""


class DivergenceRule:
    """A run has diverged if a loss is not finite, or if the mean of its last 16 losses exceeds ln(vocab) + 1 nat.

    ln(vocab) is the loss of a uniform guess.
    """

    def __init__(self, vocab_size: int) -> None:
        self.limit = math.log(vocab_size) + MARGIN

    def reason(self, losses: list[float]) -> str | None:
        """Why a run with these losses (nats per token, one for each step) has diverged; None if it has not."""
        if not math.isfinite(losses[-1]):
            return "training loss is not finite"
        if len(losses) >= WINDOW and fmean(losses[-WINDOW:]) > self.limit:
            return f"mean training loss over {WINDOW} steps above ln(vocab) + {MARGIN:g}"
        return None


class StepNumbers:
    """Loss, gradient norm and expert loads of each step. They stay on the device until they are read together.

    `losses` has one loss per step that has been read, in nats per token. Norms and loads go to the watch.
    """

    def __init__(self, watch: Watch, rule: DivergenceRule) -> None:
        self._watch, self.rule = watch, rule
        self.losses: list[float] = []
        self._unread: list[tuple[int, Tensor]] = []

    def add(self, step: int, loss: Tensor, grad_norm: Tensor, load: Tensor) -> None:
        """Add the numbers of one step. Loss and norm are scalars; the load is [blocks, experts]."""
        numbers = torch.cat((loss.detach()[None], grad_norm.to(loss.device)[None], load.flatten()))
        self._unread.append((step, numbers))

    def read(self) -> None:
        """Read the steps since the last call. Raises Diverged at the first step that has diverged."""
        if not self._unread:
            return
        steps, values = zip(*self._unread, strict=True)
        self._unread.clear()
        for step, (loss, norm, *loads) in zip(steps, torch.stack(values).tolist(), strict=True):
            self.losses.append(loss)
            self._watch.take(step, norm, loads)
            if reason := self.rule.reason(self.losses):
                raise Diverged(f"{reason} at step {step}")

    def return_to(self, losses: list[float]) -> None:
        """Return to the position after these losses. Steps that have not been read are dropped."""
        self.losses = list(losses)
        self._unread.clear()
