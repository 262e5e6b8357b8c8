"""The printed recipe for torchtitan: in the real library, where it is installed, and its refusals anywhere."""

from typing import Any

import pytest
import torch

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.recommend.formats import text
from tests.benchmark.recommend.trainers.asked import (
    BATCH,
    SCHEDULES,
    STEPS,
    advice_of,
    ours,
    peak,
    run,
    shape_of,
)

HELD = ("linear", "to a tenth", "1 - sqrt")
KINDS = {
    "tok_embeddings.weight": "embedding",
    "wqkv.weight": "attention_qkv",
    "wo.weight": "attention_out",
    "q_norm.weight": "norm_block",
    "k_norm.weight": "norm_block",
    "attention_norm.weight": "norm_block",
    "ffn_norm.weight": "norm_block",
    "router.gate.weight": "router",
    "inner_experts.w1_EFD": "expert_up",
    "inner_experts.w3_EFD": "expert_up",
    "inner_experts.w2_EDF": "expert_down",
    "lm_head.weight": "head",
}


def titan(flavor: str) -> Any:
    """A model of torchtitan without memory."""
    reason = "torchtitan needs an environment of its own (datasets<4.8): docs/own-trainer.md"
    qwen3 = pytest.importorskip("torchtitan.models.qwen3", reason=reason)
    with torch.device("meta"):
        return qwen3.qwen3_configs[flavor](attn_backend="flex").build()


def kind_of(name: str) -> str:
    return next((kind for end, kind in KINDS.items() if name.endswith(end)), "norm_final")


@pytest.mark.parametrize("name", HELD)
def test_groups_and_schedule_are_those_of_training(name: str) -> None:
    model, advice = titan("debugmodel_moe"), advice_of(shape_of(), SCHEDULES[name])
    code, recipe = run(advice, "torchtitan"), advice.recipe
    assert recipe is not None
    code.optimizer.implementation = "for-loop"  # the fused one is for CUDA
    container = code.optimizer.build(model_parts=[model])
    schedulers = code.lr_scheduler.build(optimizers=container, training_steps=STEPS)
    (adam,) = container.optimizers
    names = {id(param): name for name, param in model.named_parameters()}
    for step in range(STEPS):
        for group in adam.param_groups:
            for param in group["params"]:
                wanted = peak(advice, kind_of(names[id(param)]))
                wanted["lr"] *= ours(advice, step)
                assert {key: group[key] for key in wanted} == pytest.approx(wanted, rel=1e-12), names[id(param)]
                assert group["betas"] == (recipe.beta1, recipe.beta2)
        schedulers.step()


def test_a_tied_head_is_refused() -> None:
    model = titan("debugmodel_moe")
    model.lm_head.weight = model.tok_embeddings.weight  # as torchtitan ties them
    code = run(advice_of(shape_of()), "torchtitan")
    code.optimizer.implementation = "for-loop"
    with pytest.raises(ValueError, match=r"lm_head.* matched no parameters"):
        code.optimizer.build(model_parts=[model])


@pytest.mark.parametrize("name", sorted(set(SCHEDULES) - {*HELD, "no whole warm-up"}))
def test_a_schedule_that_it_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"its LRSchedulersContainer has no .* that is equal to the study's"):
        text(advice_of(shape_of(), SCHEDULES[name]).fold(), "torchtitan")


def test_warm_up_is_in_whole_steps_and_the_rounding_is_said() -> None:
    rounded = text(advice_of(shape_of(), SCHEDULES["no whole warm-up"]).fold(), "torchtitan")
    assert "# warm-up: 5.109 steps of the study, rounded to 5\n" in rounded
    assert "warmup_steps=5," in rounded
    whole = text(advice_of(shape_of(), SCHEDULES["linear"]).fold(), "torchtitan")
    assert "rounded" not in whole
    assert "decay_ratio=10 / STEPS" in whole  # 9 of our steps decay
    assert advice_of(shape_of()).tokens == STEPS * BATCH
