"""The choices in the blocks of a model that are not sizes, such as norms and RoPE. This file does not import torch.

The defaults are those of our own ladders. Other values are those of models that people train; docs/own-model.md lists
which public model has which.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

OWN_NORM_EPS = 1e-6  # assumption: keeps RMSNorm finite and is far below the mean square of any activation
OWN_ROPE_THETA = 10_000.0  # RoFormer, arXiv 2104.09864


class Architecture(BaseModel):
    """What the blocks of a model compute.

    `qk_norm` is the RMSNorm of queries and keys: in each head, over the full width of all heads, or none. With
    `renormalise` the weights of the chosen experts sum to 1; without it, each is its probability among all experts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    qk_norm: Literal["head", "full", "none"] = "head"
    norm_eps: float = Field(OWN_NORM_EPS, gt=0, lt=1)
    rope_theta: float = Field(OWN_ROPE_THETA, gt=1)
    renormalise: bool = True


OWN = Architecture()
