"""When a run has diverged: the rule, and the reading of each step's numbers that it is asked of."""

import math
from statistics import fmean

import torch
from torch import Tensor

from lrladder.benchmark.training.watch import Watch

WINDOW = 16  # steps; assumption: long enough that one bad batch is not a divergence
MARGIN = 1.0  # nats above the loss of a uniform guess; assumption: no useful run comes back from there


class Diverged(Exception):
    """A training result: the LR was too high. The message says where and by which rule."""


class DivergenceRule:
    """Not finite, or a mean of the last 16 training losses more than 1 nat above ln(vocab), a uniform guess."""

    def __init__(self, vocab_size: int) -> None:
        self.limit = math.log(vocab_size) + MARGIN

    def reason(self, losses: list[float]) -> str | None:
        if not math.isfinite(losses[-1]):
            return "training loss is not finite"
        if len(losses) >= WINDOW and fmean(losses[-WINDOW:]) > self.limit:
            return f"mean training loss over {WINDOW} steps above ln(vocab) + {MARGIN:g}"
        return None


class StepNumbers:
    """Loss, gradient norm and expert loads of each step. They stay on the device until they are read together.

    `losses` (nats per token) are those read so far, one a step; norms and loads go to the watch.
    """

    def __init__(self, watch: Watch, rule: DivergenceRule) -> None:
        self._watch, self.rule = watch, rule
        self.losses: list[float] = []
        self._unread: list[tuple[int, Tensor]] = []

    def add(self, step: int, loss: Tensor, grad_norm: Tensor, load: Tensor) -> None:
        """Of one step: loss and norm are scalars, the load is [blocks, experts]."""
        numbers = torch.cat((loss.detach()[None], grad_norm.to(loss.device)[None], load.flatten()))
        self._unread.append((step, numbers))

    def read(self) -> None:
        """Take in the steps since the last time. Raises Diverged, at the first step that has."""
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
        """Go on after these losses; steps that have not been read are forgotten."""
        self.losses = list(losses)
        self._unread.clear()
