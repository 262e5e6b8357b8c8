"""Models of the transformers library beside ours, on the same parameters."""

import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from lrladder.models.parametrization import initialise, rule_table
from lrladder.models.rules import STANDARD
from lrladder.models.shape import ModelShape
from lrladder.models.transformer import Transformer

BLOCK = {
    "attention_norm.gain": ("input_layernorm.weight",),
    "attention.qkv": ("self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"),
    "attention.qkv_bias": ("self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias"),
    "attention.out": ("self_attn.o_proj.weight",),
    "attention.q_norm.gain": ("self_attn.q_norm.weight",),
    "attention.k_norm.gain": ("self_attn.k_norm.weight",),
    "moe_norm.gain": ("post_attention_layernorm.weight",),
    "moe.up": ("mlp.experts.gate_up_proj",),
    "moe.down": ("mlp.experts.down_proj",),
    "moe.router": ("mlp.gate.weight",),
    "moe.shared_up": ("mlp.shared_experts.gate_proj.weight", "mlp.shared_experts.up_proj.weight"),
    "moe.shared_down": ("mlp.shared_experts.down_proj.weight",),
    "moe.dense_up": ("mlp.gate_proj.weight", "mlp.up_proj.weight"),
    "moe.dense_down": ("mlp.down_proj.weight",),
}
ENDS = {"embedding": "model.embed_tokens.weight", "norm.gain": "model.norm.weight", "head": "lm_head.weight"}


def transformers() -> Any:
    """The library; without it the test module is skipped."""
    sys.modules.setdefault("torchvision", None)  # type: ignore[arg-type]  # mup's: a CUDA build that breaks on import
    return pytest.importorskip("transformers", reason="the extra `hf` is not installed")


def theirs_of(name: str) -> tuple[str, ...]:
    """Names of their parameters whose rows ours has, in order."""
    if name in ENDS:
        return (ENDS[name],)
    _, layer, rest = name.split(".", 2)
    return tuple(f"model.layers.{layer}.{part}" for part in BLOCK[rest])


def peer_of(config: Any) -> Any:
    """Their model with the experts as a loop, in fp32."""
    config._experts_implementation = config._attn_implementation = "eager"
    return transformers().AutoModelForCausalLM.from_config(config).float()


def ours_of(shape: ModelShape, *, seed: int = 0) -> Transformer:
    """Our model, initialised; its norms and biases are randomised, as at 1 or 0 a wrong one may go unseen."""
    model = Transformer(shape, backend="reference")
    initialise(model, rule_table(STANDARD, model, shape, embedding_std=1.0), seed=seed)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for name, param in model.named_parameters():
            if name.endswith(("gain", "bias")):
                param.add_(0.3 * torch.randn(param.shape, generator=generator))
        for buffer in model.buffers():  # of the choice of experts
            buffer.copy_(0.3 * torch.randn(buffer.shape, generator=generator))
    return model


@torch.no_grad()
def give(model: Transformer, peer: Any, scale: dict[str, float] | None = None) -> None:
    """Copy our parameters to theirs, each times `scale` of its name. Every parameter of theirs must get one."""
    left = trained(peer)
    for name, param in model.named_parameters():
        own = [left.pop(other) for other in theirs_of(name)]
        parts = param.split([len(one) for one in own])
        for one, part in zip(own, parts, strict=True):
            one.copy_(part * (scale or {}).get(name, 1.0))
    assert not left, f"no parameter of ours for {sorted(left)}"
    theirs = [value for name, value in peer.state_dict().items() if name.endswith("e_score_correction_bias")]
    for buffer, other in zip(model.buffers(), theirs, strict=True):
        other.copy_(buffer.view_as(other))


def trained(peer: Any) -> dict[str, Tensor]:
    """Their parameters, without a bias of the experts' choice, which has no gradient."""
    return {name: param for name, param in peer.named_parameters() if param.requires_grad}


def gradients(model: Transformer, peer: Any) -> dict[str, tuple[Tensor, Tensor]]:
    """Ours and theirs, by our names."""
    found = trained(peer)
    both = {}
    for name, param in model.named_parameters():
        assert param.grad is not None
        both[name] = (param.grad, torch.cat([found[other].grad for other in theirs_of(name)]))
    return both
