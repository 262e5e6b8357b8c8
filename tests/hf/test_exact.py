"""Ours is the transformers library's model for every public architecture that is held: logits and all gradients."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from lrladder.benchmark.design.public_config import FAMILIES, read_public
from lrladder.benchmark.export.given import give, trained_of
from lrladder.models.experts import BACKENDS
from lrladder.models.transformer import Transformer, next_token_loss
from tests.hf.peers import gradients, ours_of, peer_of, transformers

TRANSFORMERS = transformers()

TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_experts_per_tok": 2,
    "vocab_size": 97,
    "max_position_embeddings": 64,
    "eos_token_id": 1,
    "bos_token_id": 0,
    "pad_token_id": 0,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "mixtral": {"num_key_value_heads": 2, "intermediate_size": 24, "num_local_experts": 6, "rope_theta": 1e6},
    "qwen3_moe": {
        "num_key_value_heads": 1,
        "head_dim": 16,
        "moe_intermediate_size": 24,
        "num_experts": 6,
        "norm_topk_prob": True,
        "rope_theta": 1e6,
    },
    "olmoe": {"num_key_value_heads": 4, "intermediate_size": 24, "num_experts": 6, "rms_norm_eps": 1e-5},
}
ROUTED = {
    "num_key_value_heads": 2,
    "moe_intermediate_size": 24,
    "n_routed_experts": 8,
    "n_shared_experts": 2,
    "n_group": 4,
    "topk_group": 2,
    "norm_topk_prob": True,
    "routed_scaling_factor": 2.5,
}
DENSE = {"first_k_dense_replace": 1, "intermediate_size": 40}
CONFIGS |= {
    "glm4_moe": {**ROUTED, **DENSE, "head_dim": 16, "attention_bias": True, "use_qk_norm": True},
    "glm4_moe, as Air": {**ROUTED, **DENSE, "n_group": 1, "topk_group": 1, "attention_bias": True, "head_dim": 16},
    "dots1": {**ROUTED, **DENSE, "head_dim": 16},
    "dots1, not renormalised": {**ROUTED, "head_dim": 8, "norm_topk_prob": False},
    "minimax_m2": {
        "num_key_value_heads": 2,
        "head_dim": 16,
        "rotary_dim": 8,
        "intermediate_size": 24,
        "num_local_experts": 6,
    },
    "solar_open": {**ROUTED, "head_dim": 16, "partial_rotary_factor": 1.0},
    "ernie4_5_moe": {
        "num_key_value_heads": 2,
        "intermediate_size": 40,
        "moe_intermediate_size": 24,
        "moe_num_experts": 6,
        "moe_num_shared_experts": 2,
        "moe_layer_start_index": 2,
        "tie_word_embeddings": False,
    },
    "ernie4_5_moe, no shared expert": {
        "num_key_value_heads": 2,
        "intermediate_size": 40,
        "moe_intermediate_size": 24,
        "moe_num_experts": 6,
        "moe_num_shared_experts": 0,
        "moe_layer_start_index": 0,
        "tie_word_embeddings": False,
    },
}
LATENT = {
    "num_key_value_heads": 4,
    "kv_lora_rank": 24,
    "qk_nope_head_dim": 12,
    "qk_rope_head_dim": 8,
    "v_head_dim": 10,
    "moe_intermediate_size": 24,
    "n_routed_experts": 8,
    "n_shared_experts": 2,
    "rms_norm_eps": 1e-5,  # the norms of the latents keep theirs
}
V3 = ROUTED | DENSE | LATENT | {"q_lora_rank": 20, "n_shared_experts": 1}
CONFIGS |= {
    "deepseek_v2, as Lite": {**LATENT, **DENSE, "q_lora_rank": None, "num_experts_per_tok": 3},
    "deepseek_v2": {
        **LATENT,
        "q_lora_rank": 20,
        "topk_method": "group_limited_greedy",
        "n_group": 4,
        "topk_group": 2,
        "routed_scaling_factor": 16.0,
        "first_k_dense_replace": 2,
        "intermediate_size": 40,
    },
    "deepseek_v3": V3,
    "deepseek_v3, as Moonlight": {**V3, "q_lora_rank": None, "n_group": 1, "topk_group": 1, "n_shared_experts": 2},
    "deepseek_v3, halves": {**V3, "rope_interleave": False, "norm_topk_prob": False},
    "kimi_k2": {**V3, "n_group": 1, "topk_group": 1, "rope_theta": 5e4, "routed_scaling_factor": 2.827},
    "glm4_moe_lite": {**V3, "n_group": 1, "topk_group": 1, "v_head_dim": 24},
}
CONFIGS["qwen3_moe, not renormalised"] = CONFIGS["qwen3_moe"] | {"norm_topk_prob": False}
CONFIGS |= {
    f"{kind}, tied": CONFIGS[kind] | {"tie_word_embeddings": True}
    for kind in (
        *("mixtral", "qwen3_moe", "olmoe", "glm4_moe", "dots1", "minimax_m2", "solar_open", "ernie4_5_moe"),
        *("deepseek_v2", "deepseek_v3", "glm4_moe_lite"),
    )
}
CONFIGS["olmoe, grouped queries"] = CONFIGS["olmoe"] | {"num_key_value_heads": 2}
TOKENS = torch.randint(0, 97, (2, 17), generator=torch.Generator().manual_seed(3))


def pair(name: str, folder: Path) -> tuple[Transformer, Any]:
    """Ours, read from a config.json, and theirs."""
    kind = name.split(",")[0]
    data = {**TINY, **CONFIGS[name], "model_type": kind}
    (folder / "config.json").write_text(json.dumps(data))
    model = ours_of(read_public(folder / "config.json").shape)
    return model, peer_of(TRANSFORMERS.CONFIG_MAPPING[FAMILIES[kind].library_type or kind].from_dict(data))


def test_every_family_is_here() -> None:
    assert set(FAMILIES) == {name.split(",")[0] for name in CONFIGS}


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_and_every_gradient_are_theirs(name: str, tmp_path: Path) -> None:
    model, peer = pair(name, tmp_path)
    give(model, peer)
    output = model(TOKENS[:, :-1])
    next_token_loss(output, TOKENS[:, 1:]).backward()
    logits = peer(input_ids=TOKENS[:, :-1], use_cache=False).logits
    F.cross_entropy(logits.flatten(0, 1), TOKENS[:, 1:].flatten()).backward()
    assert (output.logits - logits).norm() < 1e-5 * logits.norm()
    for param, (ours, theirs) in gradients(model, peer).items():
        assert (ours - theirs).norm() < 1e-5 * theirs.norm(), param
    counted = model.shape.n_total + model.shape.n_embedding
    assert counted == sum(param.numel() for param in trained_of(peer).values())


@pytest.mark.parametrize("name", CONFIGS)
def test_every_kernel_computes_it(name: str, tmp_path: Path) -> None:
    model, _ = pair(name, tmp_path)
    expected = model(TOKENS).logits
    other = Transformer(model.shape, backend="grouped")
    other.load_state_dict(model.state_dict())
    assert "grouped" in BACKENDS
    assert torch.allclose(other(TOKENS).logits, expected, rtol=1e-4, atol=1e-5)
