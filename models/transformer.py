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
    """Pre-RMSNorm blocks of attention and MoE. muP scales the logits by `head_multiplier`, depth rules what each
    block adds by `branch_multiplier`; both are 1 otherwise.

    Parameters are made uninitialised: `models.parametrization.initialise` fills them by role.
    """

    def __init__(self, shape: ModelShape, *, backend: str = "grouped") -> None:
        super().__init__()
        vocab, width = shape.vocab_size, shape.width
        self.shape = shape
        self.head_multiplier = self.branch_multiplier = 1.0
        self.embedding = parameter(vocab, width, tag=Tag(Role.EMBEDDING, vocab, width, in_block=False))
        self.blocks = nn.ModuleList(Block(shape, backend) for _ in range(shape.depth))
        self.norm = RMSNorm(width, in_block=False)
        self.head = parameter(vocab, width, tag=Tag(Role.HEAD, width, vocab, in_block=False))

    def forward(self, tokens_bs: Tensor) -> Output:
        x = F.embedding(tokens_bs, self.embedding)
        rope = rope_table(tokens_bs.shape[1], self.shape.head_size, x.device)
        losses = []
        for block in self.blocks:
            assert isinstance(block, Block)
            x = torch.add(x, block.attention(block.attention_norm(x), rope), alpha=self.branch_multiplier)
            update, router_losses = block.moe(block.moe_norm(x))
            x = torch.add(x, update, alpha=self.branch_multiplier)
            losses.append(router_losses)
        logits = F.linear(self.norm(x) * self.head_multiplier, self.head)
        balance, z, load = (torch.stack(column) for column in zip(*losses, strict=True))
        return Output(logits, balance.sum(), z.sum(), load)
