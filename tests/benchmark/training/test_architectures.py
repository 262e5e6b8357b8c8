"""Architectures of public models train through the whole of our training code, health metrics and recipes included."""

import math
from pathlib import Path

import pytest

from lrladder.benchmark.ladder import Base
from lrladder.benchmark.training.recipe import trial_recipe
from lrladder.benchmark.training.train import train
from lrladder.models.architecture import Architecture
from lrladder.models.shape import ModelShape
from tests.benchmark.trials import BATCH, no_log, tiny_corpus, tiny_trial
from tests.models.shapes import moe_shape

LIKE = {
    "mixtral": Architecture(qk_norm="none", norm_eps=1e-5, rope_theta=1e6),
    "qwen3_moe": Architecture(rope_theta=1e6),
    "olmoe": Architecture(qk_norm="full", norm_eps=1e-5, renormalise=False),
}


def shape_of(kind: str, width: int, heads: int) -> ModelShape:
    sizes = moe_shape(width=width, expert_width=width).model_dump()
    return ModelShape(**sizes, heads=heads, kv_heads=heads // 2, architecture=LIKE[kind])


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
