"""The decoder-only MoE transformer of the ladder."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrladder.models.attention import Attention, RMSNorm, rope_of
from lrladder.models.experts import BACKENDS
from lrladder.models.latent_attention import LatentAttention
from lrladder.models.moe import Dense, MoE, load_balance_of
from lrladder.models.parameters import parameter, to_logits
from lrladder.models.roles import Role, Tag
from lrladder.models.shape import ModelShape


class Output(NamedTuple):
    """The output of a forward pass. Logits are only computed when they are asked for."""

    features: Tensor  # [B, S, d], the input of the head
    head: Tensor  # [V, d]
    probability: Tensor  # [L, E], mean probability of each expert in each block with experts
    router_z: Tensor  # sum of the z losses of all blocks, before their coefficient
    load: Tensor  # [L, E], share of the assignments of each expert in each block with experts

    @property
    def load_balance(self) -> Tensor:
        """The load-balance loss of this pass alone, summed over blocks. A batch in parts needs `load_balance_of`."""
        return load_balance_of(self.load, self.probability)

    @property
    def logits(self) -> Tensor:
        """Logits [B, S, V]."""
        return to_logits(self.features, self.head)


class Losses(NamedTuple):
    """What a training step needs of a pass: the loss in nats per token, and the fields of `Output` for the router.

    The loss is computed inside the model, because only there does ZeRO 3 gather the head.
    """

    loss: Tensor
    probability: Tensor
    router_z: Tensor
    load: Tensor


def next_token_loss(output: Output, targets_bs: Tensor) -> Tensor:
    """Mean cross-entropy in nats per token of targets [B, S], computed in fp32."""
    return F.cross_entropy(output.logits.float().flatten(0, 1), targets_bs.flatten())


class Block(nn.Module):
    """One block: attention, and experts or a dense SwiGLU, each after a norm, and each added to the residual stream."""

    def __init__(self, shape: ModelShape, backend: str, *, dense: bool = False) -> None:
        super().__init__()
        eps = shape.architecture.norm_eps
        feed_forward = Dense(shape) if dense else MoE(shape, BACKENDS[backend]())
        attention = Attention(shape) if shape.kv_rank is None else LatentAttention(shape)
        self.attention_norm, self.attention = RMSNorm(shape.width, eps), attention
        self.moe_norm, self.moe = RMSNorm(shape.width, eps), feed_forward

    def forward(self, x_bsd: Tensor, cos: Tensor, sin: Tensor, multiplier: float) -> tuple[Tensor, ...]:
        """The residual stream [B, S, d], and then the fields of RouterStats, which a dense block lacks.

        They are not nested, because the recomputation of activations needs plain tensors.
        """
        x_bsd = torch.add(x_bsd, self.attention(self.attention_norm(x_bsd), (cos, sin)), alpha=multiplier)
        update, stats = self.moe(self.moe_norm(x_bsd))
        return (torch.add(x_bsd, update, alpha=multiplier), *stats)


class Transformer(nn.Module):
    """Pre-RMSNorm blocks of attention and MoE.

    muP multiplies the logits by `head_multiplier`; depth rules multiply what each block adds to the residual stream by
    `branch_multiplier`. Both are 1 otherwise. Activations and products have `dtype`; parameters and router are fp32.
    Parameters start uninitialised: `models.parametrization.initialise` fills them by role. `call_block` may replace how
    a block is called, to recompute it in the backward pass, and `loss_of` how the loss is computed.
    """

    def __init__(self, shape: ModelShape, *, backend: str = "grouped", dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        vocab, width = shape.vocab_size, shape.width
        self.shape, self.backend, self.dtype = shape, backend, dtype
        self.head_multiplier = self.branch_multiplier = 1.0
        self.call_block: Callable[..., tuple[Tensor, ...]] = _call
        self.loss_of: Callable[[Output, Tensor], Tensor] = next_token_loss
        tied = shape.architecture.tied
        fans = (Role.TIED, width, vocab) if tied else (Role.EMBEDDING, vocab, width)
        self.embedding = parameter(vocab, width, tag=Tag(*fans, in_block=False))
        self.blocks = nn.ModuleList(Block(shape, backend, dense=i < shape.num_dense) for i in range(shape.depth))
        self.norm = RMSNorm(width, shape.architecture.norm_eps, in_block=False, before_tied_head=tied)
        self.head = None if tied else parameter(vocab, width, tag=Tag(Role.HEAD, width, vocab, in_block=False))

    @property
    def readout(self) -> nn.Parameter:
        """The matrix of the logits: the head, or the embedding if they are tied."""
        return self.embedding if self.head is None else self.head

    @property
    def readout_name(self) -> str:
        """The name of the parameter `readout`."""
        return "embedding" if self.head is None else "head"

    @property
    def multiplied_name(self) -> str:
        """The name of the parameter in whose rule the multiplier of the logits stands."""
        return "norm.gain" if self.head is None else "head"

    def forward(self, tokens_bs: Tensor, targets_bs: Tensor | None = None) -> Output | Losses:
        """The output for `tokens_bs`, or what a training step needs if the targets are given too."""
        x = F.embedding(tokens_bs, self.embedding).to(self.dtype)
        rope = rope_of(self.shape, tokens_bs.shape[1], x.device)
        stats = []
        for block in self.blocks:
            x, *of_block = self.call_block(block, x, *rope, self.branch_multiplier)
            if of_block:
                stats.append(of_block)
        probability, z, load = (torch.stack(column) for column in zip(*stats, strict=True))
        output = Output(self.norm(x) * self.head_multiplier, self.readout, probability, z.sum(), load.detach())
        if targets_bs is None:
            return output
        return Losses(self.loss_of(output, targets_bs), probability, output.router_z, output.load)


def blocks_of(model: Transformer) -> list[Block]:
    """Its blocks, by their type."""
    return [block for block in model.blocks if isinstance(block, Block)]


def routed_moes(model: Transformer) -> list[MoE]:
    """Of the blocks that have a router, in order."""
    moes = [block.moe for block in blocks_of(model) if isinstance(block.moe, MoE)]
    return [moe for moe in moes if moe.router is not None]


def _call(block: nn.Module, *args: object) -> tuple[Tensor, ...]:
    found: tuple[Tensor, ...] = block(*args)
    return found
