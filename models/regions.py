"""torch.compile of what repeats in a training step: each block, and the head with its loss.

Regions rather than the whole model: equal blocks share one compilation, and every depth of a width finds it again.
"""

import functools
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from models.transformer import Output, Transformer, next_token_loss

Loss = Callable[[Output, Tensor], Tensor]
# One worker trains many shapes, each a variant of the same code; torch goes back to eager beyond 8, silently.
MAX_VARIANTS = 256


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


def compile_blocks(model: Transformer) -> Loss:
    """Compile the model's blocks in place; returns the compiled `next_token_loss`."""
    torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = MAX_VARIANTS
    torch._dynamo.config.suppress_errors = True  # what cannot be compiled runs as written; the worker's log says so
    for block in model.blocks:
        block.compile(dynamic=False)
    return _compiled_loss()


@functools.cache
def _compiled_loss() -> Loss:
    return torch.compile(next_token_loss, dynamic=False)


def uncompiled() -> AbstractContextManager[Any]:
    """A context in which compiled models run as they are written: for sizes seen once, and for hooks."""
    if "torch._dynamo" not in sys.modules:  # nothing is compiled, and the import takes seconds
        return nullcontext()
    return torch.compiler.set_stance("force_eager")
