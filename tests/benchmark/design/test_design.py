"""The ladder that `design` lays out: in the goal's proportions, within its budget, and runnable."""

from statistics import fmean

import pytest
import yaml

from lrladder.benchmark.design.layout import HORIZON_RATIO, LEAST_STEPS, Goal, lay_out
from lrladder.benchmark.design.precision import At, predictive_sd
from lrladder.benchmark.design.proportions import LEAST_EXPERT_WIDTH, MOST_HEAD_SHARE, scaled, trainable
from lrladder.benchmark.design.public_config import Public
from lrladder.benchmark.design.simulation import expected
from lrladder.benchmark.design.study_text import lr_guess, lr_spread, study_of, study_text
from lrladder.benchmark.design.words import words
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.studies.kinds import plan_of
from lrladder.benchmark.studies.regret.config import parse_config
from lrladder.models.architecture import Architecture
from lrladder.models.shape import ModelShape

QWEN = ModelShape(
    vocab_size=151936,
    width=2048,
    depth=48,
    head_size=128,
    heads=32,
    kv_heads=4,
    num_experts=128,
    top_k=8,
    expert_width=768,
    seq_len=4096,
    architecture=Architecture(rope_theta=1e6),
)
PUBLIC = Public("qwen3_moe", QWEN, 0.001 * 8 / 48, ("what was left out",))


def goal(budget: float = 0.05, *, memory: float = 80, validate: bool = True) -> Goal:
    return Goal(QWEN, 10**12, 4 * 10**6, budget, memory * 2**30, validate)


def test_exact_proportions_exist_at_multiples_of_width_over_kv_heads() -> None:
    assert scaled(QWEN, 512, 12).gave_way == scaled(QWEN, 1024, 24).gave_way == ()
    (broken,) = scaled(QWEN, 256, 6).gave_way
    assert "queries per key 4 (target 8)" in broken
    assert scaled(QWEN, 512, 24).gave_way == ("depth 24 (in proportion 12)",)


def test_what_never_gives_way() -> None:
    for proxy in trainable(QWEN, memory_bytes=80 * 2**30, wanted=4):
        shape = proxy.shape
        assert (shape.head_size, shape.num_experts, shape.top_k) == (128, 128, 8)
        assert shape.architecture == QWEN.architecture
        assert shape.expert_width >= LEAST_EXPERT_WIDTH
        assert proxy.head_share <= MOST_HEAD_SHARE
        assert proxy.state_bytes <= 80 * 2**30
        ModelShape.model_validate(shape.model_dump())


def test_a_proportion_gives_way_only_where_too_few_sizes_keep_all() -> None:
    room = 80 * 2**30
    assert all(not proxy.gave_way for proxy in trainable(QWEN, memory_bytes=room, wanted=2))
    deeper = [way for proxy in trainable(QWEN, memory_bytes=room, wanted=4) for way in proxy.gave_way]
    assert deeper and all(way.startswith("depth") for way in deeper)
    broken = [way for proxy in trainable(QWEN, memory_bytes=room, wanted=9) for way in proxy.gave_way]
    assert any(way.startswith("queries per key") for way in broken)


@pytest.mark.parametrize("budget", [0.02, 0.05, 0.5])
def test_the_ladder_is_within_the_budget_and_long_enough(budget: float) -> None:
    layout = lay_out(goal(budget))
    config = study_of(layout, PUBLIC, name="own")
    run = goal().flops
    entries = [entry.budget or 0.0 for entry in config.entries.values()]
    assert sum(entries) <= budget * 1.001
    validated = sum(t.flops * t.runs for t in plan_of(config).trials if t.rung.startswith("t") and not t.extension)
    assert sum(entries) + validated / run <= budget * 1.02
    for rung in config.rungs:
        assert min(rung.horizons) / rung.batch_tokens >= LEAST_STEPS
        assert rung.warmup_tokens is None or rung.warmup_tokens % rung.batch_tokens == 0
        assert rung.batch_tokens % 4096 == 0
    for planned in layout.proxies:
        assert max(planned.horizons) <= goal().tokens


def test_two_batches_of_one_model_tell_the_exponent_of_the_batch() -> None:
    first, other, *_ = lay_out(goal()).proxies
    assert first.proxy == other.proxy
    assert other.batch_tokens == pytest.approx(first.batch_tokens / 4, rel=0.05)
    assert max(first.horizons) == pytest.approx(other.horizons[0], rel=0.01)
    assert max(first.horizons) == HORIZON_RATIO * min(first.horizons)


def test_the_chosen_ladder_is_surer_than_its_shorter_self() -> None:
    layout = lay_out(goal())
    cells = [cell for rung in layout.proxies for cell in rung.cells]
    shorter = [At(cell.n_active, cell.tokens / 4, cell.batch_tokens / 2) for cell in cells]
    assert predictive_sd(shorter, layout.goal.at) > predictive_sd(cells, layout.goal.at) == layout.sd
    assert lay_out(goal(0.5)).sd < layout.sd


def test_the_yaml_is_a_study_whose_goal_is_the_model() -> None:
    layout = lay_out(goal())
    text = study_text(layout, PUBLIC, name="own")
    config = parse_config(text, source="own")
    assert config == study_of(layout, PUBLIC, name="own")
    (rung,) = config.rungs.goals
    assert rung.shape == QWEN
    assert max(rung.horizons) == pytest.approx(10**12, rel=1e-5)
    assert yaml.safe_load(text)["optimizer"]["aux_loss_coef"] == PUBLIC.aux_loss_coef
    assert config.rungs.targets


AIR = ModelShape(
    vocab_size=151552,
    width=4096,
    depth=46,
    head_size=128,
    heads=96,
    kv_heads=8,
    num_experts=128,
    top_k=8,
    expert_width=1408,
    shared_width=2816,
    dense_blocks=3,
    dense_width=10944,
    seq_len=4096,
    architecture=Architecture(score="sigmoid", expert_bias=True, rotary_fraction=0.5),
)


def test_shared_experts_and_dense_blocks_keep_their_proportions() -> None:
    """Two shared experts stay two; of the three dense blocks at most a quarter of the depth stays."""
    exact, shallow = scaled(AIR, 1024, 12), scaled(AIR, 512, 6)
    assert (exact.shape.shared_width, exact.shape.dense_blocks, exact.shape.dense_width) == (704, 3, 2736)
    assert shallow.shape.dense_blocks == 1
    assert "dense first blocks 1 (target 3)" in shallow.gave_way
    assert not any("dense" in way or "expert" in way for way in exact.gave_way)
    layout = lay_out(Goal(AIR, 10**12, 4 * 10**6, 0.05, 80 * 2**30, validate=False))
    config = study_of(layout, Public("glm4_moe", AIR, 0.0, ()), name="own")
    (rung,) = config.rungs.goals
    assert rung.shape == AIR
    assert [proxy.shape for proxy in config.rungs.proxies] == [planned.proxy.shape for planned in layout.proxies]
    assert config.optimizer.aux_loss_coef == 0


V3 = ModelShape(
    vocab_size=129280,
    width=7168,
    depth=61,
    head_size=192,
    heads=128,
    num_experts=256,
    top_k=8,
    expert_width=2048,
    shared_width=2048,
    dense_blocks=3,
    dense_width=18432,
    kv_rank=512,
    q_rank=1536,
    rope_size=64,
    value_size=128,
    seq_len=4096,
    architecture=Architecture(qk_norm="none", score="sigmoid", expert_bias=True, rope_pairs="neighbours"),
)


def test_latents_keep_their_proportions() -> None:
    """Ranks over width, and the sizes of a head; at a width without whole tiles the ranks give way, by name."""
    shape = scaled(V3, 1792, 15).shape
    assert (shape.kv_rank, shape.q_rank, shape.num_heads, shape.kv_heads) == (128, 384, 32, None)
    assert (shape.head_size, shape.rope_size, shape.value_size) == (192, 64, 128)
    assert not any("latent" in way for way in scaled(V3, 1792, 15).gave_way)
    assert "width of the latent of queries / width 0.222 (target 0.214)" in scaled(V3, 504, 4).gave_way
    layout = lay_out(Goal(V3, 10**12, 4 * 10**6, 0.05, 80 * 2**30, validate=False))
    config = study_of(layout, Public("deepseek_v3", V3, 0.0, ()), name="own")
    (rung,) = config.rungs.goals
    assert rung.shape == V3
    assert [proxy.shape for proxy in config.rungs.proxies] == [planned.proxy.shape for planned in layout.proxies]
    assert all(proxy.shape.kv_rank == proxy.shape.width // 14 for proxy in config.rungs.proxies)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"kv_rank_ratio": None}, "kv_rank_ratio, rope_size and value_size"),
        ({"value_size": None}, "kv_rank_ratio, rope_size and value_size"),
        ({"q_rank_ratio": None}, "give q_rank_ratio to the ladder too"),
    ],
)
def test_latents_of_a_ladder_go_together(change: dict[str, object], named: str) -> None:
    layout = lay_out(Goal(V3, 10**12, 4 * 10**6, 0.05, 80 * 2**30, validate=False))
    data = yaml.safe_load(study_text(layout, Public("deepseek_v3", V3, 0.0, ()), name="own"))
    data["ladder"] |= change
    with pytest.raises(InputError, match=named):
        parse_config(yaml.safe_dump(data), source="own")


def test_a_rung_alone_has_no_dense_block() -> None:
    text = study_text(lay_out(goal()), PUBLIC, name="own").replace("part: proxy", "part: proxy\n    dense_blocks: 1", 1)
    with pytest.raises(InputError, match="dense_ratio"):
        parse_config(text, source="own")


def test_nothing_to_train_is_one_line() -> None:
    with pytest.raises(InputError, match="--memory"):
        lay_out(goal(memory=1))
    assert lay_out(goal(validate=False)).target is None


def test_the_expected_interval_is_honest_and_the_words_say_all() -> None:
    layout = lay_out(goal())
    config = study_of(layout, PUBLIC, name="own")
    found = expected(config, guess=lr_guess(layout), spread=lr_spread(layout), studies=4)
    assert found.answered == 4
    assert 0.3 < found.low <= found.half_width <= found.high
    assert found.cost <= config.entries["fitting"].budget  # type: ignore[operator]
    said = list(words(layout, PUBLIC, found, gpu="h100", gpus=64))
    assert len(said) == 10
    assert "what was left out" in " ".join(said)
    assert f"{layout.goal.flops / (64 * 989e12 * 0.35) / 86400:.3g} days on 64 h100" in said[0]
    assert all(len(set(proxy.horizons)) == len(proxy.horizons) for proxy in layout.proxies)
    assert fmean(len(line) for line in said) < 400
