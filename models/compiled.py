"""torch.compile of the parts that repeat in a training step: each block, and the head with its loss.

These regions are compiled instead of the whole model. Equal blocks share one compilation, and models of one width but
another depth reuse it. Before compiled code trains anything, its outputs and gradients are compared with eager mode.
"""

import functools
import os
import shutil
import sys
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrladder.models.attention import rope_of
from lrladder.models.moe import RouterStats, load_balance_of
from lrladder.models.transformer import Output, Transformer, next_token_loss

Loss = Callable[[Output, Tensor], Tensor]
# One worker trains many shapes, and each is a variant of the same code. Beyond 8 variants torch silently runs eagerly.
MAX_VARIANTS = 256
# Largest allowed difference of a region's outputs and gradients: the norm of the difference over the norm. Measured
# rounding is 2e-6 in fp32, and 0.06 in bf16, where it moves tokens between experts (2,048 tokens a batch). The wrongly
# compiled code of docs/performance.md was off by 0.13 to 1.
MAX_DIFFERENCE = {torch.float32: 1e-3, torch.bfloat16: 0.25}


def compiler_missing() -> str | None:
    """Why nothing can be compiled on this machine, in one sentence; None if torch can compile."""
    if not torch.cuda.is_available() and shutil.which(os.environ.get("CXX", "g++")) is None:
        return "torch.compile needs a C++ compiler and there is no g++; training runs uncompiled"
    try:
        _probe()
    except Exception as error:  # a broken toolchain raises many kinds of errors
        return f"torch.compile does not work here ({' '.join(str(error).split())[:200]}); training runs uncompiled"
    return None


@functools.cache
def _probe() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.compile(lambda x: x.sin() + 1)(torch.zeros(8, device=device))


def compile_blocks(model: Transformer, *, batch: int) -> Loss | None:
    """Compile the model's blocks in place, for `batch` windows a step, and return the compiled `next_token_loss`.

    Return None and leave the model uncompiled if compiled and eager gradients differ: torch 2.13 compiles some sizes
    wrongly and gives no message (docs/performance.md).
    """
    from torch._inductor import config  # this imports the compiler, which takes seconds

    torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = MAX_VARIANTS
    config.size_asserts = False  # `_agrees` checks instead; a step has 150 of them, in Python
    torch._dynamo.config.suppress_errors = True  # what cannot be compiled runs eagerly; the worker's log says so
    for block in model.blocks:
        block.compile(dynamic=False)
    loss_of = _compiled_loss()
    if _agrees(model, loss_of, batch):
        return loss_of
    for block in model.blocks:
        block._compiled_call_impl = None  # torch has no public way to undo compile()
    return None


@functools.cache
def _compiled_loss() -> Loss:
    return torch.compile(_fused_loss, dynamic=False)


def _fused_loss(output: Output, targets_bs: Tensor) -> Tensor:
    """As `next_token_loss`, in operations whose backward pass is one loop over the logits.

    torch's cross-entropy is compiled to a scatter, a loop that sums it over the vocabulary, and this loop.
    """
    logits_tv = output.logits.float().flatten(0, 1)
    ids_v = torch.arange(logits_tv.shape[-1], device=logits_tv.device, dtype=torch.int32)  # as wide as a logit
    is_target_tv = targets_bs.flatten().int()[:, None] == ids_v
    return (logits_tv.logsumexp(-1) - torch.where(is_target_tv, logits_tv, 0).sum(-1)).mean()


_AGREED: dict[Hashable, bool] = {}  # results of this process's comparisons; compiled code is kept too


def _agrees(model: Transformer, loss_of: Loss, batch: int) -> bool:
    shape, device = model.shape.model_copy(update={"depth": 1}), model.embedding.device
    key = (shape, model.backend, model.dtype, device, model.branch_multiplier, batch)
    if key not in _AGREED:
        compiled = _gradients(model, loss_of, batch)
        with uncompiled():
            written = _gradients(model, next_token_loss, batch)
        _AGREED[key] = agree(compiled, written, MAX_DIFFERENCE[model.dtype])
    return _AGREED[key]


def _gradients(model: Transformer, loss_of: Loss, batch: int) -> list[Tensor]:
    """Outputs and gradients, on random tokens, of the last block, of a dense first one if there is any, and of the
    loss.

    Gradients are with respect to inputs and weights.
    """
    shape, device = model.shape, model.embedding.device
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(shape.vocab_size, (batch, shape.seq_len), generator=generator).to(device)
    x = F.embedding(tokens, model.embedding.detach()).to(model.dtype).requires_grad_()
    weight = torch.randn(x.shape, generator=generator).to(x)
    args = (x, *rope_of(shape, shape.seq_len, device), model.branch_multiplier)
    first, last = model.blocks[0], model.blocks[-1]
    of_dense = _gradients_of_dense(first, args, weight) if shape.num_dense else []
    y, *found = last(*args)
    stats = RouterStats(*found)
    balance = load_balance_of(stats.load_e.detach()[None], stats.probability_e[None])
    of_block = (y * weight).sum() + balance + stats.router_z
    head = model.readout
    of_head = loss_of(Output(x, head, stats.probability_e[None], stats.router_z, stats.load_e[None]), tokens)
    by_block = torch.autograd.grad(of_block, [x, *last.parameters()])
    return [*of_dense, y.detach(), of_head.detach(), *by_block, *torch.autograd.grad(of_head, [x, head])]


def _gradients_of_dense(block: nn.Module, args: tuple[Any, ...], weight: Tensor) -> list[Tensor]:
    (y,) = block(*args)
    return [y.detach(), *torch.autograd.grad((y * weight).sum(), [args[0], *block.parameters()])]


def agree(found: list[Tensor], expected: list[Tensor], max_difference: float) -> bool:
    """Whether the norm of each tensor's difference is at most `max_difference` times the expected norm.

    fp32 rounding of the tensor with the largest norm is allowed besides.
    """
    norms = [tensor.float().norm().item() for tensor in expected]
    misses = [(one - other).float().norm().item() for one, other in zip(found, expected, strict=True)]
    allowed = [max_difference * norm + torch.finfo(torch.float32).eps * max(norms) for norm in norms]
    return all(miss <= limit for miss, limit in zip(misses, allowed, strict=True))  # false for nan


def uncompiled() -> AbstractContextManager[Any]:
    """A context in which compiled models run eagerly: for sizes that occur once, and for hooks."""
    if "torch._dynamo" not in sys.modules:  # nothing is compiled yet, and importing it takes seconds
        return nullcontext()
    return torch.compiler.set_stance("force_eager")
