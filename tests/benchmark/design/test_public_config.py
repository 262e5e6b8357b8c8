"""config.json files of public models: held with the right sizes, or refused in one line that names why."""

import json
from pathlib import Path

import pytest

from lrladder.benchmark.design.public_config import read_public
from lrladder.benchmark.errors import InputError
from tests.hf.peers import transformers
from tests.paths import ROOT

transformers()

CONFIGS = ROOT / "tests" / "data" / "configs"
# Billions of active and of all parameters without embeddings, from the models' cards where they say so, else counted
HELD = {
    "Mixtral-8x7B": (12.6, 46.4),
    "Mixtral-8x22B": (38.8, 140.2),
    "Qwen3-30B-A3B": (2.73, 29.9),
    "Qwen3-235B-A22B": (20.9, 234),
    "Qwen3-Coder-480B-A35B": (33.6, 478),
    "OLMoE-1B-7B": (1.08, 6.71),
    "GLM-4.5-Air": (12.2, 105.6),
    "GLM-4.5": (32.1, 351.2),
    "dots.llm1": (12.8, 141.5),
    "MiniMax-M2": (9.80, 227.5),
    "Solar-Open-100B": (10.44, 101.0),
    "ERNIE-4.5-300B-A47B": (46.2, 297.8),
    "DeepSeek-V2-Lite": (2.24, 15.29),  # 15.7 with embeddings, as published
    "DeepSeek-V2": (20.3, 234.7),  # 236 and 21.4
    "DeepSeek-V3": (35.7, 669.2),  # 671 and 37.6
    "Kimi-K2": (30.5, 1024.1),  # 1,026 and 32.9
    "Moonlight-16B-A3B": (2.24, 15.29),  # as published, arXiv 2502.16982 table 1
    "GLM-4.7-Flash": (3.26, 29.3),
    "ERNIE-4.5-21B-A3B": (3.09, 21.56),  # tied: 21.8 with the embedding, as published
}
REFUSED = {
    "gpt-oss-120b": ("attention sinks", "sliding_window 128", "swiglu_limit", "attention_bias", "a mixtral"),
}


@pytest.mark.parametrize("name", HELD)
def test_a_held_model_has_its_published_sizes(name: str) -> None:
    shape = read_public(CONFIGS / f"{name}.json").shape
    assert (shape.n_active / 1e9, shape.n_total / 1e9) == pytest.approx(HELD[name], rel=0.01)


def test_routers_shared_experts_and_dense_blocks_are_read() -> None:
    """Air, with the numbers of its technical report (arXiv 2508.06471, table 1)."""
    public = read_public(CONFIGS / "GLM-4.5-Air.json")
    shape, asked = public.shape, public.shape.architecture
    assert (shape.num_dense, shape.dense_width, shape.shared_width, shape.num_heads) == (1, 10944, 1408, 96)
    assert (asked.score, asked.expert_bias, asked.qkv_bias, asked.rotary_fraction) == ("sigmoid", True, True, 0.5)
    assert public.aux_loss_coef == 0
    assert any("multi-token prediction" in left for left in public.left_out)
    minimax = read_public(CONFIGS / "MiniMax-M2.json")
    assert minimax.shape.rotary_size == 64
    assert minimax.aux_loss_coef == pytest.approx(0.001 * 8 / 62)  # as the file says


def test_latents_are_read() -> None:
    """The numbers of DeepSeek-V3's report (arXiv 2412.19437, section 4.2), and of V2's group-limited router."""
    public = read_public(CONFIGS / "DeepSeek-V3.json")
    shape, asked = public.shape, public.shape.architecture
    assert (shape.kv_rank, shape.q_rank, shape.num_heads) == (512, 1536, 128)
    assert (shape.head_size, shape.rope_size, shape.value_size, shape.value_width) == (192, 64, 128, 16384)
    assert (shape.num_dense, shape.dense_width, shape.shared_width) == (3, 18432, 2048)
    assert (asked.num_groups, asked.top_groups, asked.group_best, asked.routed_scale) == (8, 4, 2, 2.5)
    assert (asked.qk_norm, asked.rope_pairs, asked.norm_eps) == ("none", "neighbours", 1e-6)
    assert public.aux_loss_coef == 0.001  # aux_loss_alpha, which is in our units
    said = ("'yarn' and its factor on attention's scores", "multi-token prediction (1)", "aux_loss_over: micro_batch")
    for words in said:
        assert any(words in left for left in public.left_out)
    second = read_public(CONFIGS / "DeepSeek-V2.json").shape.architecture
    assert (second.score, second.renormalise, second.routed_scale) == ("softmax", False, 16.0)
    assert (second.num_groups, second.top_groups, second.group_best) == (8, 3, 1)
    assert read_public(CONFIGS / "Moonlight-16B-A3B.json").shape.q_rank is None
    assert read_public(CONFIGS / "GLM-4.7-Flash.json").shape.num_dense == 1  # without first_k_dense_replace, by class


def test_a_context_that_was_extended_later_is_not_that_of_pretraining() -> None:
    """Solar's file has the 65,536 tokens from which YaRN extended it, and Qwen3-Coder's a coefficient of 0."""
    solar = read_public(CONFIGS / "Solar-Open-100B.json")
    assert solar.shape.seq_len == 4096
    assert any("yarn" in left for left in solar.left_out)
    assert read_public(CONFIGS / "Solar-Open-100B.json", seq_len=8192).shape.seq_len == 8192
    assert read_public(CONFIGS / "Qwen3-Coder-480B-A35B.json").aux_loss_coef == 0


@pytest.mark.parametrize(
    ("name", "change", "named"),
    [
        ("Qwen3-Coder-480B-A35B", {"shared_expert_intermediate_size": 64}, "shared_expert_intermediate_size 64"),
        ("Qwen3-Coder-480B-A35B", {"qkv_bias": True}, "qkv_bias true"),
        ("GLM-4.5-Air", {"first_k_dense_replace": 46}, "leaves no block"),
        ("GLM-4.5-Air", {"scoring_func": "softmax"}, "scoring_func"),
        ("GLM-4.5-Air", {"n_group": 7, "topk_group": 2}, "no equal groups"),
        ("dots.llm1", {"attention_bias": True}, "attention_bias"),
        ("dots.llm1", {"sliding_window": 64, "max_window_layers": 3, "use_sliding_window": None}, "sliding_window 64"),
        ("MiniMax-M2", {"attn_type_list": [0, 1]}, "attn_type_list"),
        ("MiniMax-M2", {"shared_intermediate_size": 64}, "shared_intermediate_size 64"),
        ("Solar-Open-100B", {"first_k_dense_replace": 2}, "first_k_dense_replace 2"),
        ("ERNIE-4.5-300B-A47B", {"moe_layer_end_index": 50}, "moe_layer_end_index 50"),
        ("ERNIE-4.5-300B-A47B", {"moe_layer_interval": 2}, "moe_layer_interval 2"),
        ("ERNIE-4.5-300B-A47B", {"use_bias": True}, "use_bias"),
        ("DeepSeek-V3", {"num_key_value_heads": 8}, "num_key_value_heads 8 beside 128 heads"),
        ("DeepSeek-V3", {"head_dim": 128}, "head_dim 128 beside qk_rope_head_dim 64"),
        ("DeepSeek-V3", {"attention_bias": True}, "attention_bias"),
        ("DeepSeek-V3", {"scoring_func": "softmax"}, "scoring_func"),
        ("DeepSeek-V3", {"moe_layer_freq": 2}, "moe_layer_freq 2"),
        ("DeepSeek-V3", {"n_shared_experts": 0}, "n_shared_experts 0"),
        ("DeepSeek-V3", {"qk_rope_head_dim": 63}, "even rotary dimension"),
        ("DeepSeek-V3", {"index_topk": 2048}, "index_topk 2048"),
        ("DeepSeek-V2-Lite", {"norm_topk_prob": True}, "norm_topk_prob"),
        ("DeepSeek-V2-Lite", {"topk_method": "noaux_tc"}, "topk_method"),
        ("GLM-4.7-Flash", {"first_k_dense_replace": 3}, "first_k_dense_replace 3 beside 1"),
        ("GLM-4.7-Flash", {"mlp_layer_types": ["sparse", "dense"] + 45 * ["sparse"]}, "mlp_layer_types with dense"),
    ],
)
def test_what_a_family_does_not_hold_is_refused(
    name: str, change: dict[str, object], named: str, tmp_path: Path
) -> None:
    data = json.loads((CONFIGS / f"{name}.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(data | change))
    with pytest.raises(InputError, match=named):
        read_public(tmp_path / "config.json")


def test_a_window_that_no_block_has_is_none(tmp_path: Path) -> None:
    data = json.loads((CONFIGS / "dots.llm1.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(data | {"sliding_window": 64}))
    assert read_public(tmp_path / "config.json").shape.depth == 62


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_held_is_named_in_one_line(name: str) -> None:
    with pytest.raises(InputError) as refusal:
        read_public(CONFIGS / f"{name}.json")
    assert "\n" not in str(refusal.value)
    for reason in REFUSED[name]:
        assert reason in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"mlp_only_layers": [0]}, "mlp_only_layers"),
        ({"attention_bias": True}, "attention_bias"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"sliding_window": 512, "use_sliding_window": True}, "sliding_window"),
        ({"some_new_trick": 3}, "some_new_trick 3"),
        ({"num_key_value_heads": 5}, "kv_heads 5"),
        ({"num_attention_heads": 0, "head_dim": None}, "config.json"),
        ({"num_experts": "many"}, "config.json"),
        ({"hidden_size": None}, "config.json"),
        ({"rope_scaling": 3}, "config.json"),
        ({"max_position_embeddings": None}, "config.json"),
    ],
)
def test_nothing_is_dropped_without_a_word(change: dict[str, object], named: str, tmp_path: Path) -> None:
    data = json.loads((CONFIGS / "Qwen3-30B-A3B.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(data | change))
    with pytest.raises(InputError, match=named):
        read_public(tmp_path / "config.json")


def test_a_later_phase_is_left_out_with_a_word(tmp_path: Path) -> None:
    data = json.loads((CONFIGS / "Qwen3-30B-A3B.json").read_text())
    data["rope_scaling"] = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
    (tmp_path / "config.json").write_text(json.dumps(data))
    public = read_public(tmp_path / "config.json")
    assert public.shape.seq_len == 4096  # its first 30T tokens, before a stage at 32,768 (arXiv 2505.09388)
    assert any("yarn" in left for left in public.left_out)


@pytest.mark.parametrize("text", ["", "[]", "{}", "{not json", '{"model_type": 3}'])
def test_a_broken_file_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError):
        read_public(tmp_path / "config.json")
