"""Roles of parameters. Role, fan-in and fan-out are given where a parameter is made, never guessed from its shape."""

from enum import StrEnum
from typing import NamedTuple


class Role(StrEnum):
    """What a parameter is for."""

    EMBEDDING = "embedding"
    ATTENTION = "attention"
    Q_A = "q_a"  # of latent attention: from the residual stream to the latent of queries
    Q_B = "q_b"  # from that latent to queries
    KV_A = "kv_a"  # from the residual stream to the latent of keys and values, and to the keys that RoPE turns
    KV_B = "kv_b"  # from that latent to keys and values
    ROUTER = "router"
    EXPERT_UP = "expert_up"  # both matrices of SwiGLU that read the input, gate and up
    EXPERT_DOWN = "expert_down"
    SHARED_UP = "shared_up"
    SHARED_DOWN = "shared_down"
    DENSE_UP = "dense_up"  # of the dense blocks of a model with experts; gate and up
    DENSE_DOWN = "dense_down"
    BIAS = "bias"  # of queries, keys and values
    NORM = "norm"
    HEAD = "head"
    TIED = "tied"  # the one matrix of a model whose embedding is its head too


# The role of a matrix with which attention reads the residual stream: the first of these that a model has.
ATTENTION_INPUT = (Role.KV_A, Role.ATTENTION)


class Tag(NamedTuple):
    """Role, fan-in and fan-out of one parameter.

    `writes_residual`: its output is added to the residual stream. `in_block`: it belongs to a block, so depth rules
    apply to it. `before_tied_head`: it is the norm whose output a tied head reads.
    """

    role: Role
    fan_in: int
    fan_out: int
    writes_residual: bool = False
    in_block: bool = True
    before_tied_head: bool = False
