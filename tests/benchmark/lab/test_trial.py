"""What a request means: trials by horizon, and one trial where parametrizations are one function."""

import pytest

from lrladder.benchmark.config.parts import OptimizerConfig, RecipeConfig
from lrladder.benchmark.lab.resolve import resolve
from lrladder.benchmark.lab.trial import Trial, token_rule_of
from lrladder.benchmark.studies.regret.config import RegretConfig, load_config
from lrladder.models.rules import STANDARD
from lrladder.paradigms.lab import Request
from tests.benchmark.trials import tiny_trial

CONFIG = load_config("smoke")
BASE = CONFIG.rungs.rung(CONFIG.base_rung)
TARGET = CONFIG.rungs.targets[-1]


def _with(**rules: object) -> RegretConfig:
    data = CONFIG.model_dump()
    data["parametrizations"]["mup"]["rules"] |= rules
    return RegretConfig.model_validate(data)


def _resolve(rung: str, name: str, *horizons: int, config: RegretConfig = CONFIG, **more: float) -> tuple[Trial, ...]:
    request = Request(rung, name, 0.02, 0, horizons, **more)  # type: ignore[arg-type]
    return resolve(request, config, corpus_digest="c", precision="fp32")


def test_horizons_share_a_trunk_unless_a_rule_depends_on_them() -> None:
    assert [trial.horizons for trial in _resolve(BASE.name, "sp", *BASE.horizons)] == [BASE.horizons]
    assert [trial.horizons for trial in _resolve(BASE.name, "mup", *BASE.horizons)] == [(h,) for h in BASE.horizons]
    off = _with(horizon="none", decay_horizon="none")
    assert [trial.horizons for trial in _resolve(BASE.name, "mup", *BASE.horizons, config=off)] == [BASE.horizons]


@pytest.mark.parametrize("horizon", ["none", "wsd", "sde", "power", "fitted"])
def test_at_the_base_both_parametrizations_are_one_trial(horizon: str) -> None:
    config = _with(horizon=horizon)
    longest = max(BASE.horizons)
    assert _resolve(BASE.name, "sp", longest) == _resolve(
        BASE.name, "mup", longest, config=config, horizon_exponent=-0.3
    )


def test_away_from_the_base_they_are_not() -> None:
    short, longest = BASE.horizons
    (shorter,) = _resolve(BASE.name, "mup", short)
    assert shorter.rules != STANDARD
    assert token_rule_of(shorter).lr == pytest.approx((longest / short) ** 0.3509)
    assert _resolve(TARGET.name, "sp", longest) != _resolve(TARGET.name, "mup", longest)


def test_an_exponent_is_kept_only_where_a_rule_reads_it() -> None:
    (known,) = _resolve(TARGET.name, "mup", 16384, horizon_exponent=-0.3)
    assert known.horizon_exponent is None
    (fitted,) = _resolve(TARGET.name, "mup", 16384, config=_with(horizon="fitted"), horizon_exponent=-0.3)
    assert token_rule_of(fitted).lr == pytest.approx(0.5**-0.3)


def test_a_recipe_is_part_of_every_trial() -> None:
    """Of its id too, whatever the parametrization; a trial stored before there were recipes has ratios of 1."""
    tuned = CONFIG.model_copy(update={"recipe": RecipeConfig(embedding_lr=32.0)})
    for rung, name in ((BASE.name, "sp"), (TARGET.name, "sp"), (TARGET.name, "mup")):
        (plain,), (changed,) = _resolve(rung, name, 32768), _resolve(rung, name, 32768, config=tuned)
        assert changed.recipe.embedding_lr == 32
        assert changed.id != plain.id
        assert changed.model_copy(update={"recipe": CONFIG.recipe}) == plain
        assert Trial.model_validate(plain.model_dump(exclude={"recipe"})).recipe == RecipeConfig()


def test_ctrl_c_while_an_id_is_computed_stays_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """pydantic takes what its serializers raise for an error of its own."""

    def interrupted(self: OptimizerConfig) -> None:
        raise KeyboardInterrupt

    trial, other = tiny_trial(seed=1), tiny_trial(seed=2)
    monkeypatch.setattr(OptimizerConfig, "model_dump", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _ = trial.id
    with pytest.raises(KeyboardInterrupt):
        _ = other.trunk_id
