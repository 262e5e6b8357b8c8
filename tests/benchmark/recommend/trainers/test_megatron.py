"""The printed recipe for megatron-core, with its own groups, scheduler and checkpoint logic.

Its forward pass, its data parallelism and its optimizers ask for CUDA, so AdamW is torch's, which it falls back to.
"""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lrladder.models.architecture import Architecture
from tests.benchmark.recommend.trainers.asked import (
    BATCH,
    SCHEDULES,
    SEQ,
    STEPS,
    advice_of,
    ours,
    peak,
    points,
    run,
    shape_of,
)

pytest.importorskip("megatron.core", reason="megatron-core of the extra `test` is not installed")
SHAPE = shape_of(
    shared_width=32,
    dense_width=40,
    dense_blocks=1,
    architecture=Architecture(qk_norm="head", qkv_bias=True),
)
KINDS = {
    "embedding.word_embeddings.weight": "embedding",
    "self_attention.linear_qkv.weight": "attention_qkv",
    "self_attention.linear_qkv.bias": "bias",
    "self_attention.linear_qkv.layer_norm_weight": "norm_block",
    "self_attention.linear_proj.weight": "attention_out",
    "self_attention.q_layernorm.weight": "norm_block",
    "self_attention.k_layernorm.weight": "norm_block",
    "input_layernorm.weight": "norm_block",
    "pre_mlp_layernorm.weight": "norm_block",
    "mlp.router.weight": "router",
    "mlp.linear_fc1.weight": "dense_up",
    "mlp.linear_fc1.layer_norm_weight": "norm_block",
    "mlp.linear_fc2.weight": "dense_down",
    "mlp.shared_experts.linear_fc1.weight": "shared_up",
    "mlp.shared_experts.linear_fc2.weight": "shared_down",
    "final_layernorm.weight": "norm_final",
    "output_layer.weight": "head",
    **{f"mlp.experts.local_experts.{e}.linear_fc1.weight": "expert_up" for e in range(4)},
    **{f"mlp.experts.local_experts.{e}.linear_fc2.weight": "expert_down" for e in range(4)},
    "mlp.experts.linear_fc1.weight3": "expert_up",
    "mlp.experts.linear_fc2.weight3": "expert_down",
    "mlp.experts.weight1": "expert_up",
    "mlp.experts.weight2": "expert_down",
}


@pytest.fixture(scope="module", autouse=True)
def process_groups(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    from megatron.core import parallel_state

    begun = torch.distributed.is_initialized()
    if not begun:
        where = tmp_path_factory.mktemp("megatron") / "meeting"
        torch.distributed.init_process_group("gloo", init_method=f"file://{where}", rank=0, world_size=1)
    parallel_state.initialize_model_parallel()
    yield
    parallel_state.destroy_model_parallel()
    if not begun:
        torch.distributed.destroy_process_group()


def model_of(*, tied: bool = False) -> Any:
    from megatron.core.models.gpt.gpt_layer_specs import get_gpt_decoder_block_spec
    from megatron.core.models.gpt.gpt_model import GPTModel
    from megatron.core.transformer.transformer_config import TransformerConfig

    config = TransformerConfig(
        num_layers=SHAPE.depth,
        hidden_size=SHAPE.width,
        num_attention_heads=SHAPE.num_heads,
        num_query_groups=SHAPE.num_kv_heads,
        ffn_hidden_size=SHAPE.dense_width,
        num_moe_experts=SHAPE.num_experts,
        moe_router_topk=SHAPE.top_k,
        moe_ffn_hidden_size=SHAPE.expert_width,
        moe_shared_expert_intermediate_size=SHAPE.shared_width,
        moe_layer_freq=[0] + [1] * (SHAPE.depth - 1),
        qk_layernorm=True,
        add_bias_linear=False,
        add_qkv_bias=True,
        normalization="RMSNorm",
        gated_linear_unit=True,
        activation_func=torch.nn.functional.silu,
        use_cpu_initialization=True,
    )
    spec = get_gpt_decoder_block_spec(config, use_transformer_engine=False, normalization="RMSNorm")
    return GPTModel(
        config,
        spec,
        vocab_size=SHAPE.vocab_size,
        max_sequence_length=SEQ,
        position_embedding_type="rope",
        share_embeddings_and_output_weights=tied,
    )


def kind_of(name: str) -> str:
    (kind,) = {kind for end, kind in KINDS.items() if name == end or name.endswith(f".{end}")}
    return kind


def adam_of(code: Any, model: Any) -> torch.optim.AdamW:
    """The optimizer that megatron-core makes of the overrides, where it finds no fused one."""
    from megatron.core.optimizer import _get_param_groups

    config = code.optimizer_config()
    groups = _get_param_groups([model], config, code.overrides([model]))
    betas = (config.adam_beta1, config.adam_beta2)
    return torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay, betas=betas, eps=config.adam_eps)


def assert_ours(adam: torch.optim.Optimizer, model: Any, advice: Any, step: int) -> None:
    """Each parameter has the LR of this step, the weight decay, the eps and the betas of its kind."""
    settings = {id(param): group for group in adam.param_groups for param in group["params"]}
    names = dict(model.named_parameters())
    assert len(settings) == len(names)
    for name, param in names.items():
        wanted, group = peak(advice, kind_of(name)), settings[id(param)]
        wanted["lr"] *= ours(advice, step)
        assert {key: group[key] for key in wanted} == pytest.approx(wanted, rel=1e-12), name
        assert group["betas"] == (advice.recipe.beta1, advice.recipe.beta2)


@pytest.mark.parametrize("name", SCHEDULES)
def test_groups_and_schedule_are_those_of_training(name: str) -> None:
    advice, model = advice_of(SHAPE, SCHEDULES[name]), model_of()
    code = run(advice, "megatron")
    adam = adam_of(code, model)
    scheduler = code.scheduler(adam)
    assert code.BATCH_SEQUENCES * SEQ == BATCH
    for step in range(STEPS):
        if step in points():
            assert_ours(adam, model, advice, step)
        scheduler.step(increment=code.BATCH_SEQUENCES)
    assert {kind_of(name) for name, _ in model.named_parameters()} == set(code.RECIPE)
    config = code.optimizer_config(bf16=True)
    assert (config.bf16, config.clip_grad, config.optimizer) == (True, advice.recipe.grad_clip, "adam")  # type: ignore[union-attr]


def test_a_resumed_run_keeps_the_settings_of_each_group() -> None:
    """A checkpoint finds its groups by keys that do not include the LR; the recipe's groups differ in these keys."""
    from megatron.core.optimizer.optimizer import MegatronOptimizer, param_group_identifier_keys

    advice, model = advice_of(SHAPE), model_of()
    code = run(advice, "megatron")
    adam = adam_of(code, model)
    scheduler = code.scheduler(adam)
    for _ in range(7):
        scheduler.step(increment=code.BATCH_SEQUENCES)
    saved, schedule = copy.deepcopy(adam.state_dict()), scheduler.state_dict()
    fresh = adam_of(code, model)
    resumed = code.scheduler(fresh)
    groups = MegatronOptimizer._filter_and_reorder_param_groups(
        fresh.state_dict()["param_groups"], saved["param_groups"]
    )
    fresh.load_state_dict({**saved, "param_groups": groups})
    resumed.load_state_dict(schedule)
    assert_ours(fresh, model, advice, 7)
    known = [tuple(group[key] for key in param_group_identifier_keys) for group in adam.param_groups]
    assert len(set(known)) == len(known)


def test_every_name_of_its_layers_has_one_kind() -> None:
    """Also those of Transformer Engine and of grouped experts, which need CUDA, below the wrappers of training."""
    from megatron.core.optimizer.optimizer_config import ParamKey

    names = run(advice_of(SHAPE), "megatron").NAMES
    for end, kind in KINDS.items():
        inner = end if kind in ("embedding", "head") else f"decoder.{end}" if kind == "norm_final" else None
        name = f"module.module.{inner or f'decoder.layers.3.{end}'}"
        param = torch.nn.Parameter(torch.zeros(1))
        assert [one for one in names if ParamKey(name=names[one]).matches(param, name)] == [kind], name


def test_a_tied_head_and_an_unknown_parameter_are_refused() -> None:
    code, model = run(advice_of(SHAPE), "megatron"), model_of()
    with pytest.raises(ValueError, match="the head is tied to the embedding, and RECIPE is for an untied one"):
        code.overrides([torch.nn.ModuleDict({"module": model_of(tied=True)})])
    model.adapter = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"adapter\.weight matches no name in NAMES"):
        code.overrides([model])
    model.adapter.requires_grad_(False)
    code.overrides([model])


def test_the_recipe_says_where_it_was_run(tmp_path: Path) -> None:
    from megatron.core import __version__

    from lrladder.benchmark.recommend.formats import text

    assert f"for megatron-core {__version__}" in text(advice_of(SHAPE).fold(), "megatron")
