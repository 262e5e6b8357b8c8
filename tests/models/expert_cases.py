"""Routings to try expert backends on, and what a backend gives for one."""

from dataclasses import dataclass

import torch

from lrladder.models.experts import BACKENDS

D, H = 16, 8
BF16 = 2e-2  # of the largest entry: bf16 holds 8 bits, and a few products are rounded in a row


@dataclass(frozen=True)
class Case:
    """`experts[t]` are the experts of token t."""

    experts: tuple[tuple[int, ...], ...]
    num_experts: int

    def tensors(self) -> tuple[torch.Tensor, ...]:
        """x, experts, weights (which add up to 1 for a token), up, down."""
        generator = torch.Generator().manual_seed(0)
        expert_tk = torch.tensor(self.experts)
        x = torch.randn(len(self.experts), D, generator=generator)
        weight_tk = torch.randn(expert_tk.shape, generator=generator).softmax(-1)
        up = torch.randn(self.num_experts, 2 * H, D, generator=generator)
        down = torch.randn(self.num_experts, D, H, generator=generator)
        return x, expert_tk, weight_tk, up, down


CASES = {
    "top 2, uneven": Case(tuple((0, 1 + t % 3) for t in range(11)), 4),
    "top 1, two without tokens": Case(tuple((3 * (t % 2),) for t in range(9)), 4),
    "all to one": Case(((2,),) * 8, 4),
    "one token": Case(((3, 1),), 4),
    "one expert": Case(((0,),) * 5, 1),
    "odd sizes, five experts": Case(tuple((t % 5, (t + 2) % 5) for t in range(13)), 5),
}


def run(backend: str, case: Case, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    """Output, and gradients of x, weights, up and down, in fp32; computed in `dtype` but for routing."""
    x, expert_tk, weight_tk, up, down = case.tensors()
    inputs = [tensor.requires_grad_() for tensor in (x, weight_tk, up, down)]
    y = BACKENDS[backend]()(x.to(dtype), expert_tk, weight_tk, up.to(dtype), down.to(dtype)).float()
    (y * torch.randn(y.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
    grads = [tensor.grad for tensor in inputs if tensor.grad is not None]
    assert len(grads) == len(inputs)
    return [y.detach(), *grads]
