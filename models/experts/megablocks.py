"""Experts on the kernels of MegaBlocks, with our weights. MegaBlocks is unmaintained, so only this file uses it.

MegaBlocks sorts, counts, gathers and scatters. Its expert GEMM is that of grouped_gemm. torch's grouped_mm replaces it
in two cases: from Hopper on, where it is one launch that reads nothing back to the host; and where grouped_gemm is not
installed.
"""

import functools
import importlib
import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lrladder.models.experts.grouped import product
from lrladder.models.experts.reference import swiglu

GROUPED_GEMM, TORCH_GEMM = "grouped_gemm", "torch grouped_mm"
HOPPER = (9, 0)  # compute capability; grouped_gemm reads the number of rows per expert on the host, in every layer


class TorchGemm:
    """Replaces the `ops` of grouped_gemm by torch's kernel, as far as MegaBlocks uses them. For bf16 on CUDA."""

    @staticmethod
    def gmm(a: Tensor, b: Tensor, batch_sizes: Tensor, trans_b: bool = False) -> Tensor:
        """a [rows, k] sorted by expert, b [E, k, n] or with trans_b [E, n, k] -> [rows, n]."""
        return product(a, b if trans_b else b.transpose(-2, -1), batch_sizes)


class _Package(NamedTuple):
    ops: Any  # sort, histogram, inclusive_cumsum, gather, scatter
    gemm: Any
    gemm_name: str


@functools.cache
def _package() -> _Package:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that grouped_gemm is missing; the code below replaces it
        ops = importlib.import_module("megablocks.ops")
        util: Any = importlib.import_module("megablocks.grouped_gemm_util")
    if util.ops is None or (torch.cuda.is_available() and torch.cuda.get_device_capability() >= HOPPER):
        util.ops = TorchGemm
    return _Package(ops, util.ops, TORCH_GEMM if util.ops is TorchGemm else GROUPED_GEMM)


def gemm_name() -> str:
    """The name of the GEMM that this backend uses on this machine."""
    return _package().gemm_name


class _Sorted(NamedTuple):
    """What belongs to the rows of (token, choice) sorted by expert: how to put them back, and the GEMM to use."""

    place_r: Tensor
    expert_r: Tensor
    ends_e: Tensor
    sizes_e: Tensor
    gmm: Any  # as `TorchGemm.gmm`


def megablocks_experts(x_td: Tensor, expert_tk: Tensor, weight_tk: Tensor, up_e2hd: Tensor, down_edh: Tensor) -> Tensor:
    """Weighted sum of the SwiGLU experts that each token is routed to, [T, d] in the dtype of x.

    torch.compile covers the code between MegaBlocks' kernels, because eager SwiGLU would move as much memory as a GEMM.
    """
    x_rd, rows = _gather(x_td, expert_tk, len(up_e2hd))
    hidden_rh = swiglu(rows.gmm(x_rd, up_e2hd, rows.sizes_e, trans_b=True))
    y_rd = rows.gmm(hidden_rh, down_edh, rows.sizes_e, trans_b=True)
    return _scatter(y_rd, weight_tk, rows)


@torch.compiler.disable
def _gather(x_td: Tensor, expert_tk: Tensor, num_experts: int) -> tuple[Tensor, _Sorted]:
    ops, gemm, name = _package()
    chosen_r = expert_tk.flatten().to(torch.int32)
    expert_r, place_r = ops.sort(chosen_r, max(1, (num_experts - 1).bit_length()))  # bits of an expert index
    rows_e = ops.histogram(chosen_r, num_experts)
    ends_e = ops.inclusive_cumsum(rows_e, 0).view(-1)  # with a single expert it drops the only dimension
    x_rd = ops.gather(x_td, place_r, expert_r, ends_e, expert_tk.shape[-1])
    sizes_e = rows_e.long().cpu() if name == GROUPED_GEMM else rows_e  # grouped_gemm reads them on the host
    return x_rd, _Sorted(place_r, expert_r, ends_e, sizes_e, gemm.gmm)


@torch.compiler.disable
def _scatter(y_rd: Tensor, weight_tk: Tensor, rows: _Sorted) -> Tensor:
    ops = _package().ops
    y_td: Tensor = ops.scatter(y_rd, rows.place_r, rows.expert_r, weight_tk.flatten(), rows.ends_e, weight_tk.shape[-1])
    return y_td
