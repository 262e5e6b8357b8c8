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
}
REFUSED = {
    "GLM-4.5-Air": (
        "sigmoid router with bias correction",
        "partial_rotary_factor",
        "first_k_dense_replace",
        "n_shared",
    ),
    "DeepSeek-V3": ("kv_lora_rank", "n_group 8", "routed_scaling_factor 2.5", "scoring_func"),
    "Kimi-K2": ("kv_lora_rank", "routed_scaling_factor", "n_shared_experts"),
    "gpt-oss-120b": ("attention sinks", "sliding_window 128", "swiglu_limit", "attention_bias"),
}


@pytest.mark.parametrize("name", HELD)
def test_a_held_model_has_its_published_sizes(name: str) -> None:
    shape = read_public(CONFIGS / f"{name}.json").shape
    assert (shape.n_active / 1e9, shape.n_total / 1e9) == pytest.approx(HELD[name], rel=0.01)


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
        ({"tie_word_embeddings": True}, "tie_word_embeddings true"),
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
    assert public.shape.seq_len == 32768
    assert any("yarn" in left for left in public.left_out)


@pytest.mark.parametrize("text", ["", "[]", "{}", "{not json", '{"model_type": 3}'])
def test_a_broken_file_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError):
        read_public(tmp_path / "config.json")
