"""MegaBlocks' kernels: their place. Everything that touches the package stays behind this file."""

import importlib.util
from typing import NoReturn

import torch
from torch import Tensor


def unavailable_reason() -> str:
    """Why this backend cannot run here, in one sentence with the remedy."""
    if not torch.cuda.is_available():
        return "expert_backend megablocks needs a CUDA GPU and this machine has none; use expert_backend: grouped"
    if importlib.util.find_spec("megablocks") is None:
        return "expert_backend megablocks: the package is not installed; run `make megablocks` or use grouped"
    return "expert_backend megablocks is installed but not wired up in this version; use expert_backend: grouped"


def megablocks_experts(x_rd: Tensor, rows_e: Tensor, up_e2hd: Tensor, down_edh: Tensor) -> NoReturn:
    raise RuntimeError(unavailable_reason())
