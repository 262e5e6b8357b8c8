"""Experts on torch's grouped GEMM: one kernel launch for all experts, without waiting for the GPU."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lrladder.models.experts.reference import swiglu


def grouped_experts(x_rd: Tensor, rows_e: Tensor, up_e2hd: Tensor, down_edh: Tensor) -> Tensor:
    """As `reference_experts`, on `torch.nn.functional.grouped_mm`. On CUDA this takes only bf16."""
    return product(swiglu(product(x_rd, up_e2hd, rows_e)), down_edh, rows_e)


def product(x_rk: Tensor, weight_enk: Tensor, rows_e: Tensor) -> Tensor:
    """Multiply rows [rows, k], sorted by expert, by the weights [n, k] of their experts -> [rows, n]."""
    ends_e = rows_e.cumsum(0).to(torch.int32)
    if x_rk.is_cuda:
        weight_enk = UsedExperts.apply(weight_enk, rows_e)
    if torch.compiler.is_compiling() and x_rk.dtype is torch.float32:
        found: Tensor = _Opaque.apply(x_rk, weight_enk, ends_e)
        return found
    return F.grouped_mm(x_rk, weight_enk.transpose(-2, -1), offs=ends_e)


class UsedExperts(torch.autograd.Function):
    """Pass the weights through. In the backward pass, set the gradient of every expert without rows to zero.

    On Blackwell torch's kernel leaves uninitialised memory there (pytorch/pytorch#172439, open with torch 2.13).
    """

    @staticmethod
    def forward(ctx: Any, weight_enk: Tensor, rows_e: Tensor) -> Tensor:
        ctx.save_for_backward(rows_e)
        return weight_enk.view_as(weight_enk)

    @staticmethod
    def backward(ctx: Any, grad_enk: Tensor) -> tuple[Tensor, None]:
        (rows_e,) = ctx.saved_tensors
        return torch.where(rows_e[:, None, None] > 0, grad_enk, 0), None


# torch 2.13 computes grouped_mm in fp32 but refuses to trace it ("Expected inputs of BF16 type"). Opaque operators hide
# it from the compiler. Those of torch.library.custom_op are simpler to write, but take 28 us longer a call.
_PRODUCT, _GRADIENTS = "lrladder::grouped_product", "lrladder::grouped_product_gradients"
torch.library.define(_PRODUCT, "(Tensor x_rk, Tensor weight_enk, Tensor ends_e) -> Tensor")
torch.library.define(_GRADIENTS, "(Tensor grad_rn, Tensor x_rk, Tensor weight_enk, Tensor ends_e) -> (Tensor, Tensor)")


@torch.library.impl(_PRODUCT, "default")
def _product(x_rk: Tensor, weight_enk: Tensor, ends_e: Tensor) -> Tensor:
    return F.grouped_mm(x_rk, weight_enk.transpose(-2, -1), offs=ends_e)


@torch.library.impl(_GRADIENTS, "default")
def _gradients(grad_rn: Tensor, x_rk: Tensor, weight_enk: Tensor, ends_e: Tensor) -> tuple[Tensor, Tensor]:
    grad_rn = grad_rn.contiguous()
    return F.grouped_mm(grad_rn, weight_enk, offs=ends_e), F.grouped_mm(grad_rn.t(), x_rk, offs=ends_e)


@torch.library.register_fake(_PRODUCT)
def _(x_rk: Tensor, weight_enk: Tensor, ends_e: Tensor) -> Tensor:
    return x_rk.new_empty(x_rk.shape[0], weight_enk.shape[1])


@torch.library.register_fake(_GRADIENTS)
def _(grad_rn: Tensor, x_rk: Tensor, weight_enk: Tensor, ends_e: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x_rk), torch.empty_like(weight_enk)


class _Opaque(torch.autograd.Function):
    """The product as an operator that torch.compile does not look into."""

    @staticmethod
    def forward(ctx: Any, x_rk: Tensor, weight_enk: Tensor, ends_e: Tensor) -> Tensor:
        ctx.save_for_backward(x_rk, weight_enk, ends_e)
        found: Tensor = torch.ops.lrladder.grouped_product(x_rk, weight_enk, ends_e)
        return found

    @staticmethod
    def backward(ctx: Any, grad_rn: Tensor) -> tuple[Tensor, Tensor, None]:
        return *torch.ops.lrladder.grouped_product_gradients(grad_rn, *ctx.saved_tensors), None
