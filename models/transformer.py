"""The decoder-only MoE transformer of the ladder."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.attention import Attention, RMSNorm, rope_table
from models.experts import BACKENDS
from models.moe import MoE
from models.roles import Role, Tag, parameter
from models.shape import ModelShape


class Output(NamedTuple):
    """Logits [B, S, V]; auxiliary losses summed over blocks, unscaled; expert loads [L, E]."""

    logits: Tensor
    load_balance: Tensor
    router_z: Tensor
    load: Tensor


class Block(nn.Module):
    def __init__(self, shape: ModelShape, backend: str) -> None:
        super().__init__()
        self.attention_norm, self.attention = RMSNorm(shape.width), Attention(shape)
        self.moe_norm, self.moe = RMSNorm(shape.width), MoE(shape, BACKENDS[backend])


class Transformer(nn.Module):
    """Pre-RMSNorm blocks of attention and MoE. `head_multiplier` scales the logits: muP's 1/m, 1 otherwise.

    Parameters are made uninitialised: `models.parametrization.initialise` fills them by role.
    """

    def __init__(self, shape: ModelShape, *, backend: str = "grouped", head_multiplier: float = 1.0) -> None:
        super().__init__()
        vocab, width = shape.vocab_size, shape.width
        self.shape, self.head_multiplier = shape, head_multiplier
        self.embedding = parameter(vocab, width, tag=Tag(Role.EMBEDDING, vocab, width))
        self.blocks = nn.ModuleList(Block(shape, backend) for _ in range(shape.depth))
        self.norm = RMSNorm(width)
        self.head = parameter(vocab, width, tag=Tag(Role.HEAD, width, vocab))

    def forward(self, tokens_bs: Tensor) -> Output:
        x = F.embedding(tokens_bs, self.embedding)
        rope = rope_table(tokens_bs.shape[1], self.shape.head_size, x.device)
        losses = []
        for block in self.blocks:
            assert isinstance(block, Block)
            x = x + block.attention(block.attention_norm(x), rope)
            update, router_losses = block.moe(block.moe_norm(x))
            x = x + update
            losses.append(router_losses)
        logits = F.linear(self.norm(x) * self.head_multiplier, self.head)
        balance, z, load = (torch.stack(column) for column in zip(*losses, strict=True))
        return Output(logits, balance.sum(), z.sum(), load)
