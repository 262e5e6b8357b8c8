"""The choices in the blocks of a model that are not sizes, such as norms and RoPE. This file does not import torch.

The defaults are those of our own ladders. Other values are those of models that people train; docs/own-model.md lists
which public model has which.
"""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

OWN_NORM_EPS = 1e-6  # assumption: keeps RMSNorm finite and is far below the mean square of any activation
OWN_ROPE_THETA = 10_000.0  # RoFormer, arXiv 2104.09864


def _later(default: Any, **limits: Any) -> Any:
    """A field that came later. A dump leaves out its default, so that ids of trials stay as they were."""
    return Field(default, exclude_if=lambda value: bool(value == default), **limits)


class Architecture(BaseModel):
    """What the blocks of a model compute."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)  # built at first use

    qk_norm: Literal["head", "full", "none"] = "head"
    """RMSNorm of queries and keys: in each head, over the full width of all heads, or none."""
    norm_eps: float = Field(OWN_NORM_EPS, gt=0, lt=1)
    """Added to the mean square in every RMSNorm."""
    rope_theta: float = Field(OWN_ROPE_THETA, gt=1)
    """Base of RoPE's wavelengths. The longest is almost 2 pi times this many tokens."""
    renormalise: bool = True
    """Whether the weights of the chosen experts sum to 1, before `routed_scale` multiplies them. Without it, each is
    its score among all experts."""
    qkv_bias: bool = _later(False)
    """Whether queries, keys and values have a bias."""
    rotary_fraction: float = _later(1.0, gt=0, le=1)
    """Share of each head, from its start, that RoPE turns."""
    rope_pairs: Literal["halves", "neighbours"] = _later("halves")
    """What RoPE turns together: entries of the first and of the second half, or neighbours."""
    routed_scale: float = _later(1.0, gt=0)
    """Factor on the weights of the routed experts."""
    score: Literal["softmax", "sigmoid"] = _later("softmax")
    """What turns the router's logits into scores of the experts."""
    expert_bias: bool = _later(False)  # arXiv 2408.15664
    """Whether each expert has a bias that balances the loads. The top k are the experts with the largest score plus
    bias. The weights of the chosen experts do not contain the bias."""
    num_groups: int = _later(1, ge=1)  # arXiv 2412.19437
    """Number of equal groups of experts. The top k come from the `top_groups` groups whose `group_best` best experts
    have the largest sum."""
    group_best: Literal[1, 2] = _later(2)  # 1: arXiv 2405.04434; 2: 2412.19437
    """Number of a group's best experts whose sum is compared with that of other groups."""
    top_groups: int = _later(1, ge=1)
    """Number of groups that each token uses."""
    tied: bool = _later(False)
    """Whether one matrix is both the token embedding and the head."""

    @model_validator(mode="after")
    def _groups(self) -> Self:
        if self.top_groups > self.num_groups:
            raise ValueError(f"top_groups {self.top_groups} is more than num_groups {self.num_groups}; lower it")
        return self


OWN = Architecture()
