"""The forward and backward passes of one optimizer step, in micro batches, so that the batch fits the memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.training.ranks import Ranks
from lrladder.models.moe import load_balance_of
from lrladder.models.transformer import Losses, Output


class Step(NamedTuple):
    """Means over the whole batch of all ranks: loss in nats per token, balance loss, and loads [L, E]."""

    loss: Tensor
    load_balance: Tensor
    load: Tensor


class Accumulation:
    """Runs the passes of a step on the engine. `micro_batch` is the number of sequences in one pass of one rank.

    The balance loss is linear in the router's probabilities once the loads are known. So all passes of a step share the
    loads of the whole batch. If there are several passes, a first round without gradients counts these loads.
    """

    def __init__(self, engine: Any, ranks: Ranks, trial: Trial, micro_batch: int) -> None:
        self._engine, self._ranks, self._trial, self._micro = engine, ranks, trial, micro_batch

    def backward(self, windows_bs: Tensor) -> Step:
        """Accumulate the gradients of this rank's windows [B, S + 1] of a step. It does not step the optimizer."""
        parts = windows_bs.split(self._micro)
        has_router = self._trial.shape.num_experts > 1
        counts_first = len(parts) > 1 and has_router and self._trial.aux_loss_sequences is None
        load = self._count(parts) if counts_first else None
        found = []
        for index, part in enumerate(parts):
            if index:
                self._engine.step()  # between the passes of one step the engine only counts
            found.append(self._pass(part, load))
        if len(found) == 1:
            return found[0]
        loss, balance, loads = (torch.stack(column).mean(0) for column in zip(*found, strict=True))
        if load is not None:
            loss, balance = self._ranks.means(loss, balance)
        return Step(loss, balance, loads)

    @torch.no_grad()
    def _count(self, parts: tuple[Tensor, ...]) -> Tensor:
        loads = [self._engine(part[:, :-1], part[:, 1:]).load for part in parts]
        return self._ranks.means(torch.stack(loads).mean(0))[0]

    def _pass(self, windows_bs: Tensor, load: Tensor | None) -> Step:
        """One forward and backward pass. With `load` its numbers are those of this rank.

        Else loads and numbers are those of all ranks in this pass. No rank waits for another while it has work: the
        loads are sent before the head and needed after it, and the loss is needed after the backward pass.
        """
        inputs, targets = windows_bs[:, :-1], windows_bs[:, 1:]
        if load is not None:
            output = self._engine(inputs, targets)
            balance = self._backward(output, load)
            return Step(output.loss.detach(), balance.detach(), load)
        with self._sent_before_the_head() as sent:
            output = self._engine(inputs, targets)
        loss_of_all = self._ranks.start_means(output.loss)
        probability, load = sent[0]()
        self._backward(output, load)
        return Step(loss_of_all()[0], load_balance_of(load, probability), load)

    def _backward(self, output: Losses, load: Tensor) -> Tensor:
        """Add the gradients of the loss with those of the router. Returns the balance loss of this rank."""
        settings = self._trial.optimizer
        balance = load_balance_of(load, output.probability)
        router = settings.aux_loss_coef * balance + settings.z_loss_coef * output.router_z
        self._engine.backward(output.loss + router)
        return balance

    @contextmanager
    def _sent_before_the_head(self) -> Iterator[list[Callable[[], list[Tensor]]]]:
        """A context in which a forward pass sends its probabilities and loads to the other ranks.

        Yields a list, in which the pass puts a function that waits for their means.
        """
        model, sent = self._engine.module, list[Callable[[], list[Tensor]]]()
        loss_of = model.loss_of

        def send(output: Output, targets_bs: Tensor) -> Tensor:
            sent.append(self._ranks.start_means(output.probability, output.load))
            found: Tensor = loss_of(output, targets_bs)
            return found

        model.loss_of = send
        try:
            yield sent
        finally:
            model.loss_of = loss_of
