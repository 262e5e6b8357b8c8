"""torch.compile of what repeats in a training step: each block, and the head with its loss.

Regions rather than the whole model: equal blocks share one compilation, and every depth of a width finds it again.
What is compiled is compared with what is written before it trains anything.
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
from torch import Tensor

from lrladder.models.attention import rope_table
from lrladder.models.transformer import Output, Transformer, next_token_loss

Loss = Callable[[Output, Tensor], Tensor]
# One worker trains many shapes, each a variant of the same code; torch goes back to eager beyond 8, silently.
MAX_VARIANTS = 256
# Of a region's outputs and gradients, relative and by norm. Rounding leaves 2e-6 in fp32; in bf16, where it moves
# tokens between experts, 0.06 with 2,048 tokens a batch (measured). Code that reads too early was 0.13 to 1 off.
MAX_DIFFERENCE = {torch.float32: 1e-3, torch.bfloat16: 0.25}


def compiler_missing() -> str | None:
    """Why nothing can be compiled here, in one sentence; None where torch finds what it needs."""
    if not torch.cuda.is_available() and shutil.which(os.environ.get("CXX", "g++")) is None:
        return "torch.compile needs a C++ compiler and there is no g++; training runs uncompiled"
    try:
        _probe()
    except Exception as error:  # a broken toolchain shows itself in many ways
        return f"torch.compile does not work here ({' '.join(str(error).split())[:200]}); training runs uncompiled"
    return None


@functools.cache
def _probe() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.compile(lambda x: x.sin() + 1)(torch.zeros(8, device=device))


def compile_blocks(model: Transformer, *, batch: int) -> Loss | None:
    """Compile the model's blocks in place, for `batch` windows a step; returns the compiled `next_token_loss`.

    None, and the model is left as written, where compiled gradients are others than the written ones: torch 2.13
    compiles some sizes wrongly without a word (docs/performance.md).
    """
    torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = MAX_VARIANTS
    torch._dynamo.config.suppress_errors = True  # what cannot be compiled runs as written; the worker's log says so
    for block in model.blocks:
        block.compile(dynamic=False)
    loss_of = _compiled_loss()
    if _agrees(model, loss_of, batch):
        return loss_of
    for block in model.blocks:
        block._compiled_call_impl = None  # torch has no public way back
    return None


@functools.cache
def _compiled_loss() -> Loss:
    return torch.compile(next_token_loss, dynamic=False)


_AGREED: dict[Hashable, bool] = {}  # what this process has compared: the code compiled for a size stays


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
    """Outputs of a block and of the loss on random tokens, and their gradients by inputs and weights."""
    shape, block, device = model.shape, model.blocks[0], model.embedding.device
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(shape.vocab_size, (batch, shape.seq_len), generator=generator).to(device)
    x = F.embedding(tokens, model.embedding.detach()).to(model.dtype).requires_grad_()
    weight = torch.randn(x.shape, generator=generator).to(x)
    y, losses = block(x, rope_table(shape.seq_len, shape.head_size, device), model.branch_multiplier)
    of_block = (y * weight).sum() + losses.load_balance + losses.router_z
    of_head = loss_of(Output(x, model.head, losses.load_balance, losses.router_z, losses.load_e[None]), tokens)
    by_block = torch.autograd.grad(of_block, [x, *block.parameters()])
    return [y.detach(), of_head.detach(), *by_block, *torch.autograd.grad(of_head, [x, model.head])]


def agree(found: list[Tensor], expected: list[Tensor], max_difference: float) -> bool:
    """Whether each tensor is as expected, relative and by norm; rounding of the largest one is no difference."""
    norms = [tensor.float().norm().item() for tensor in expected]
    misses = [(one - other).float().norm().item() for one, other in zip(found, expected, strict=True)]
    allowed = [max_difference * norm + torch.finfo(torch.float32).eps * max(norms) for norm in norms]
    return all(miss <= limit for miss, limit in zip(misses, allowed, strict=True))  # no nan is


def uncompiled() -> AbstractContextManager[Any]:
    """A context in which compiled models run as they are written: for sizes seen once, and for hooks."""
    if "torch._dynamo" not in sys.modules:  # nothing is compiled, and the import takes seconds
        return nullcontext()
    return torch.compiler.set_stance("force_eager")
