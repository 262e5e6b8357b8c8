"""Architectures of public models train through the whole of our training code, health metrics and recipes included."""

import math
from pathlib import Path

import pytest

from lrladder.benchmark.config.training import TrainingSettings
from lrladder.benchmark.ladder import Base
from lrladder.benchmark.training.loop import Loop
from lrladder.benchmark.training.recipe import trial_recipe
from lrladder.benchmark.training.train import train
from lrladder.models.architecture import Architecture
from lrladder.models.shape import ModelShape
from tests.benchmark.trials import BATCH, no_log, tiny_corpus, tiny_trial
from tests.models.shapes import LIKE_DEEPSEEK, LIKE_GLM, latent_shape, moe_shape, tied_shape

LIKE = {
    "mixtral": Architecture(qk_norm="none", norm_eps=1e-5, rope_theta=1e6),
    "qwen3_moe": Architecture(rope_theta=1e6),
    "olmoe": Architecture(qk_norm="full", norm_eps=1e-5, renormalise=False),
    "glm4_moe": LIKE_GLM,
    "ernie4_5_moe": Architecture(qk_norm="none", norm_eps=1e-5, rope_pairs="neighbours", expert_bias=True, tied=True),
}
LATENTS = {"kv_heads": None, "rope_size": 4, "value_size": 6}
DENSE = {"dense_blocks": 1, "dense_width": 48, "shared_width": 16, "depth": 3}
LIKE |= {
    "deepseek_v2": LIKE_DEEPSEEK.model_copy(update={"score": "softmax", "expert_bias": False, "group_best": 1}),
    "deepseek_v3": LIKE_DEEPSEEK,
}
MORE = {"glm4_moe": DENSE, "deepseek_v2": LATENTS, "deepseek_v3": LATENTS | DENSE | {"q_rank": 24}}


def shape_of(kind: str, width: int, heads: int) -> ModelShape:
    sizes = moe_shape(width=width, expert_width=width).model_dump() | {"heads": heads, "kv_heads": heads // 2}
    more = MORE.get(kind, {})
    ranks = {"kv_rank": width // 2} if "rope_size" in more else {}
    return ModelShape(**sizes | more | ranks, architecture=LIKE[kind])


@pytest.mark.parametrize("kind", LIKE)
def test_it_learns_and_is_observed(kind: str, tmp_path: Path) -> None:
    base, shape = shape_of(kind, 32, 8), shape_of(kind, 64, 16)
    trial = tiny_trial(
        shape=shape, base=Base(shape=base, batch_tokens=BATCH, tokens=20 * BATCH), horizons=(40 * BATCH,), lr=0.01
    )
    (found,) = train(trial, tiny_corpus(tmp_path, shape), log=no_log, trunks=tmp_path / "trunks")
    assert found.verdict == "finished"
    assert found.loss is not None and found.loss < math.log(shape.vocab_size)
    assert found.metrics["attention_logit_max"] > 0
    assert {"output_change/attention", "router_entropy_batch"} <= set(found.metrics)
    kinds = {setting.kind: setting for setting in trial_recipe(trial, parametrization="mup").settings}
    assert kinds["attention_out"].lr == pytest.approx(trial.lr / 2)
    if LIKE[kind].tied:
        assert found.metrics["initial_loss"] == pytest.approx(math.log(shape.vocab_size), abs=0.2)
        assert {"output_change/tied", "update_ratio/tied"} <= set(found.metrics)
        assert {"embedding", "head"}.isdisjoint(kinds)
        assert (kinds["tied"].lr, kinds["norm_final"].forward) == (trial.lr, 0.5)
    if shape.dense_width:
        assert found.metrics["output_change/dense_down"] > 0
        assert kinds["dense_up"].lr == pytest.approx(trial.lr / 2)
    if LIKE[kind].qkv_bias:
        assert found.metrics["update_ratio/bias"] > 0
        assert kinds["bias"].init_std == 0
    if shape.kv_rank:
        assert {"output_change/kv_a", "alignment_ratio/kv_b", "update_ratio/kv_a"} <= set(found.metrics)
        assert kinds["kv_a"].lr == kinds["kv_b"].lr == pytest.approx(trial.lr / 2)  # both fan-ins have doubled
        assert ("attention_qkv" in kinds) == (shape.q_rank is None)
    if shape.q_rank:
        assert (kinds["q_a"].lr, kinds["q_b"].lr) == (pytest.approx(trial.lr / 2), trial.lr)  # this rank has not
    assert found.metrics["tau_ema"] == trial_recipe(trial, parametrization="mup").tau_ema


@pytest.mark.parametrize("shape", [tied_shape(), latent_shape()], ids=["tied", "latent"])
def test_matrices_that_ranks_share_train_alike(shape: ModelShape, tmp_path: Path) -> None:
    """ZeRO 3 gathers them, a tied one for both of its uses."""
    losses = []
    for stage in (0, 3):
        training = TrainingSettings(zero_stage=stage)
        trial = tiny_trial(shape=shape, base=Base(shape=shape, batch_tokens=BATCH, tokens=BATCH), training=training)
        loop = Loop(trial, tiny_corpus(tmp_path, shape), no_log)
        loop.train_to(4 * BATCH, horizon=20 * BATCH)
        losses.append(loop.losses)
        loop.engine.destroy()
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("kind", ["glm4_moe", "deepseek_v3"])
def test_recomputed_and_split_batches_give_the_same_losses(kind: str, tmp_path: Path) -> None:
    """With a dense first block, whose recomputed output is one tensor."""
    shape = shape_of(kind, 32, 8)
    losses = []
    for training, micro in ((TrainingSettings(), None), (TrainingSettings(recompute="blocks"), 2)):
        trial = tiny_trial(shape=shape, base=Base(shape=shape, batch_tokens=BATCH, tokens=BATCH), training=training)
        loop = Loop(trial, tiny_corpus(tmp_path, shape), no_log, micro_batch=micro)
        loop.train_to(4 * BATCH, horizon=20 * BATCH)
        losses.append(loop.losses)
        loop.engine.destroy()
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
