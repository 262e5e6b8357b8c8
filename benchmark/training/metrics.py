"""The validation loss and the norm of the gradient."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from lrladder.benchmark.lab.heartbeat import beat
from lrladder.benchmark.training.ranks import Ranks
from lrladder.models.experts.exchange import share_of


class Validation(NamedTuple):
    """The result of a validation on fixed documents."""

    loss: float  # mean over documents, nats per token
    loss_se: float  # its standard error over documents, nats per token
    max_violation: float  # max over experts of load / mean load - 1, worst block (arXiv 2408.15664)


@torch.no_grad()
def validate(model: Any, windows_ns: np.ndarray, *, batch: int = 32) -> Validation:
    """Validate a model on windows [n, seq_len + 1], `batch` at a time. Each window counts as one document."""
    device = next(model.parameters()).device
    losses, loads = [], []
    for start in range(0, len(windows_ns), batch):
        tokens = torch.from_numpy(windows_ns[start : start + batch].astype(np.int64)).to(device)
        output = model(tokens[:, :-1])
        logits, targets = output.logits.float().flatten(0, 1), tokens[:, 1:].flatten()
        token_loss = F.cross_entropy(logits, targets, reduction="none").view(len(tokens), -1)
        beat()
        losses.append(token_loss.mean(1).double().cpu())
        loads.append(output.load * len(tokens))
    per_document = torch.cat(losses)
    return _validation(per_document, torch.stack(loads).sum(0) / len(per_document))


@torch.no_grad()
def validate_by_window(engine: Any, ranks: Ranks, windows_ns: np.ndarray) -> Validation:
    """As `validate`, for an engine whose weights are spread over the ranks. Each rank takes every n-th window.

    All ranks make the same number of passes, because they gather the weights of each block together.
    """
    rounds = math.ceil(len(windows_ns) / ranks.count)
    losses = torch.zeros(rounds * ranks.count, dtype=torch.float64)
    loads = []
    for index in range(ranks.index, len(losses), ranks.count):
        window = windows_ns[min(index, len(windows_ns) - 1)][None].astype(np.int64)
        tokens = torch.from_numpy(window).to(engine.device)
        found = engine(tokens[:, :-1], tokens[:, 1:])
        losses[index] = found.loss.double().cpu()
        if index < len(windows_ns):
            loads.append(found.load)
    per_document = ranks.sum(losses.to(engine.device)).cpu()[: len(windows_ns)]
    load_le = ranks.sum(torch.stack(loads).sum(0) if loads else torch.zeros_like(found.load)) / len(windows_ns)
    return _validation(per_document, load_le)


def _validation(per_document: Tensor, load_le: Tensor) -> Validation:
    violation = load_le.amax(-1) * load_le.shape[-1] - 1
    se = per_document.std().item() / math.sqrt(len(per_document)) if len(per_document) > 1 else math.nan
    return Validation(per_document.mean().item(), se, violation.max().item())


def clip_gradients(parameters: Iterable[Tensor], max_norm: float) -> Tensor | None:
    """Clip all gradients by their joint L2 norm. Returns that norm, or None if the engine holds the gradients.

    DeepSpeed's own clipping would wait for the GPU twice and would read the gradients once more.
    """
    held = [param for param in parameters if param.grad is not None]
    if not held:
        return None
    norm = _joint_norm(held)
    torch.nn.utils.clip_grads_with_norm_(held, max_norm, norm)
    return norm


def _joint_norm(held: list[Tensor]) -> Tensor:
    """The L2 norm of all gradients, where those of spread experts are on several ranks."""
    shares = [share_of(param) for param in held]
    own, spread = ([p.grad for p, s in zip(held, shares, strict=True) if (s is None) == same] for same in (True, False))
    norm = torch.nn.utils.get_total_norm([grad for grad in own if grad is not None])
    share = next((share for share in shares if share is not None), None)
    if share is None:
        return norm
    of_experts = torch.nn.utils.get_total_norm([grad for grad in spread if grad is not None]).square()
    dist.all_reduce(of_experts, group=share.group)
    return (norm.square() + of_experts).sqrt()
