"""The config: presets fulfil the protocol, digests say what changed, counts and FLOPs are what they claim."""

import pytest
from pydantic import ValidationError

from lrladder.benchmark.config.text import preset_names
from lrladder.benchmark.studies.kinds import load_study
from lrladder.benchmark.studies.regret.config import RegretConfig, load_config

BENCHMARKS = [name for name in preset_names() if isinstance(load_study(name), RegretConfig)]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_preset_fulfils_the_protocol(name: str) -> None:
    """At least 3 proxies of varied width and depth at 2 horizons, 2 targets, the largest 4x the largest proxy."""
    ladder = load_config(name).rungs
    proxies, targets = ladder.proxies, ladder.targets
    assert len(proxies) >= 3
    assert len({rung.shape.width for rung in proxies}) >= 2
    assert len({rung.shape.depth for rung in proxies}) >= 2
    assert all(len(rung.horizons) >= 2 for rung in proxies)
    assert len(targets) >= 2
    assert max(rung.n_active for rung in targets) >= 4 * max(rung.n_active for rung in proxies)
    assert len({rung.batch_tokens for rung in ladder}) == 1  # the batch is fixed in a sweep


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
    shape = load_config("cpu").rungs.rung("t128x4").shape
    head, attention = shape.vocab_size * shape.width, shape.depth * shape.seq_len * shape.width
    assert shape.flops_per_token == 6 * (shape.n_active + head + attention)
