"""The config: presets fulfil the protocol, digests say what changed, counts and FLOPs are what they claim."""

import pytest
from pydantic import ValidationError

from lrladder.benchmark.config.text import preset_names
from lrladder.benchmark.studies.kinds import load_study, plan_of
from lrladder.benchmark.studies.regret.config import RegretConfig, load_config

BENCHMARKS = [name for name in preset_names() if isinstance(load_study(name), RegretConfig)]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_preset_fulfils_the_protocol(name: str) -> None:
    """At least 3 proxies of varied size, of which some have 2 horizons; 2 larger targets; one batch."""
    ladder = load_config(name).rungs
    proxies, targets = ladder.proxies, ladder.targets
    assert len(proxies) >= 3
    assert len({rung.shape.width for rung in proxies}) >= 2
    assert sum(len(rung.horizons) >= 2 for rung in proxies) >= 2
    assert len(targets) >= 2
    assert max(rung.n_active for rung in targets) >= 2.5 * max(rung.n_active for rung in proxies)
    assert len({rung.batch_tokens for rung in ladder}) == 1  # the batch is fixed in a sweep


@pytest.mark.parametrize("name", ["cpu", "gpu", "gpu30"])
def test_searches_are_cheap_and_the_largest_target_is_far(name: str) -> None:
    """10 times the FLOPs of the largest searched run; 3 times the active parameters and 2 the tokens of the base."""
    config = load_config(name)
    far = max(config.rungs.targets, key=lambda rung: rung.flops_per_token * max(rung.horizons))
    run = far.flops_per_token * max(far.horizons)
    assert run >= 10 * max(rung.flops_per_token * max(rung.horizons) for rung in config.rungs.proxies)
    assert far.n_active >= 3 * config.base.shape.n_active
    assert max(far.horizons) >= 2 * config.base.tokens
    made = [trial for trial in plan_of(config).trials if trial.purpose == "search" and not trial.extension]
    for entry in config.entries:
        assert sum(trial.runs * trial.flops for trial in made if trial.payer == entry) <= run


def test_the_default_preset_takes_twelve_minutes_on_two_cores() -> None:
    assert plan_of(load_config("cpu"), workers=2).planned.seconds <= 12 * 60


def test_the_short_gpu_preset_takes_half_an_hour_of_one_h100_at_a_sixth_of_its_peak() -> None:
    plan = plan_of(load_config("gpu30"), flops_per_second=989e12 / 6, workers=1)  # 989 TFLOP/s in bf16: its data sheet
    assert plan.planned.seconds <= 30 * 60
    assert plan.peak_memory_bytes < 70 * 2**30  # of 80


def test_both_standard_parametrizations_compete() -> None:
    """What it carries of the embedding, its ratio or its LR, decides a contest with muP."""
    for name in ("cpu", "gpu", "gpu30", "smoke"):
        assert {"sp", "sp+embedding", "mup"} <= set(load_config(name).labels)


def test_digest_changes_with_the_study_but_not_with_its_name() -> None:
    config = load_config("smoke")
    assert config.model_copy(update={"name": "other"}).digest == config.digest
    schedule = config.schedule.model_copy(update={"decay_fraction": 0.3})
    assert config.model_copy(update={"schedule": schedule}).digest != config.digest


def test_config_is_frozen_and_survives_a_round_trip() -> None:
    config = load_config("cpu")
    assert RegretConfig.model_validate(config.model_dump(mode="json")) == config
    with pytest.raises(ValidationError):
        config.name = "other"  # type: ignore[misc]


def test_flops_per_token_are_six_per_active_weight_plus_attention() -> None:
    shape = load_config("cpu").rungs.rung("t64x3").shape
    head, attention = shape.vocab_size * shape.width, shape.depth * shape.seq_len * shape.width
    assert shape.flops_per_token == 6 * (shape.n_active + head + attention)
