"""The decoder-only MoE transformer of the ladder."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrladder.models.attention import Attention, RMSNorm, rope_of
from lrladder.models.experts import BACKENDS
from lrladder.models.moe import MoE, RouterLosses
from lrladder.models.parameters import linear, parameter
from lrladder.models.roles import Role, Tag
from lrladder.models.shape import ModelShape


class Output(NamedTuple):
    """`features` [B, S, d] enter the head [V, d]. Auxiliary losses are sums over blocks, before their coefficients.

    `load` [L, E] is each expert's share of the assignments in each block.
    """

    features: Tensor
    head: Tensor
    load_balance: Tensor
    router_z: Tensor
    load: Tensor

    @property
    def logits(self) -> Tensor:
        """[B, S, V]"""
        return linear(self.features, self.head)


def next_token_loss(output: Output, targets_bs: Tensor) -> Tensor:
    """Mean cross-entropy in nats, computed in fp32."""
    return F.cross_entropy(output.logits.float().flatten(0, 1), targets_bs.flatten())


class Block(nn.Module):
    def __init__(self, shape: ModelShape, backend: str) -> None:
        super().__init__()
        eps = shape.architecture.norm_eps
        self.attention_norm, self.attention = RMSNorm(shape.width, eps), Attention(shape)
        self.moe_norm, self.moe = RMSNorm(shape.width, eps), MoE(shape, BACKENDS[backend])

    def forward(self, x_bsd: Tensor, rope: tuple[Tensor, Tensor], multiplier: float) -> tuple[Tensor, RouterLosses]:
        x_bsd = torch.add(x_bsd, self.attention(self.attention_norm(x_bsd), rope), alpha=multiplier)
        update, losses = self.moe(self.moe_norm(x_bsd))
        return torch.add(x_bsd, update, alpha=multiplier), losses


class Transformer(nn.Module):
    """Pre-RMSNorm blocks of attention and MoE.

    muP multiplies the logits by `head_multiplier`; depth rules multiply what each block adds to the residual stream by
    `branch_multiplier`. Both are 1 otherwise. Activations and products have `dtype`; parameters and router are fp32.
    Parameters start uninitialised: `models.parametrization.initialise` fills them by role.
    """

    def __init__(self, shape: ModelShape, *, backend: str = "grouped", dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        vocab, width = shape.vocab_size, shape.width
        self.shape, self.backend, self.dtype = shape, backend, dtype
        self.head_multiplier = self.branch_multiplier = 1.0
        self.embedding = parameter(vocab, width, tag=Tag(Role.EMBEDDING, vocab, width, in_block=False))
        self.blocks = nn.ModuleList(Block(shape, backend) for _ in range(shape.depth))
        self.norm = RMSNorm(width, shape.architecture.norm_eps, in_block=False)
        self.head = parameter(vocab, width, tag=Tag(Role.HEAD, width, vocab, in_block=False))

    def forward(self, tokens_bs: Tensor) -> Output:
        x = F.embedding(tokens_bs, self.embedding).to(self.dtype)
        rope = rope_of(self.shape, tokens_bs.shape[1], x.device)
        losses = []
        for block in self.blocks:
            x, router_losses = block(x, rope, self.branch_multiplier)
            losses.append(router_losses)
        balance, z, load = (torch.stack(column) for column in zip(*losses, strict=True))
        return Output(self.norm(x) * self.head_multiplier, self.head, balance.sum(), z.sum(), load)
