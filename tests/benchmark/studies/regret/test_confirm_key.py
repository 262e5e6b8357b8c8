"""The key `confirm` of an entry: what is certain in the plan, and that its default is in no digest."""

from typing import Any

from lrladder.benchmark.config.text import parse_yaml, read_preset, validate
from lrladder.benchmark.studies.kinds import plan_of
from lrladder.benchmark.studies.regret.config import RegretConfig


def study(**settings: Any) -> RegretConfig:
    """The preset `grid` with its full grid alone."""
    data = parse_yaml(read_preset("grid"), source="grid")
    data["entries"] = {"full_grid": data["entries"]["full_grid"] | settings}
    return validate(RegretConfig, data, source="test")


def search_runs(config: RegretConfig, *, most: bool) -> int:
    return sum(t.runs for t in plan_of(config).trials if t.payer == "full_grid" and (most or not t.extension))


def test_only_the_first_seed_is_certain_if_the_others_wait_for_the_noise() -> None:
    always, if_noisy = study(), study(confirm="if_noisy")
    assert search_runs(if_noisy, most=False) * 2 == search_runs(always, most=False) > 0
    assert search_runs(if_noisy, most=True) == search_runs(always, most=True)
    alone = study(confirm="if_noisy", seeds=[0])
    assert search_runs(alone, most=False) == search_runs(if_noisy, most=False)


def test_the_default_changes_no_digest() -> None:
    assert study(confirm="always").digest == study().digest != study(confirm="if_noisy").digest
