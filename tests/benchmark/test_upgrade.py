"""Documents of older versions in today's words: pure functions, each step on its own."""

import copy
import json

import pytest

from lrladder.benchmark import upgrade
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.studies.drift.results import SCHEMA as AXES
from lrladder.benchmark.studies.kinds import load_study
from lrladder.benchmark.studies.regret.results import SCHEMA as BENCHMARK
from lrladder.benchmark.studies.schedules.results import SCHEMA as POWER
from lrladder.paradigms.lab import Measurement
from tests.benchmark.trials import tiny_trial
from tests.paths import ROOT
from tests.reports.synthetic import build_results

FIXTURES = ROOT / "tests" / "fixtures"


def test_every_older_schema_ends_at_todays() -> None:
    names = {"lrladder.results/1": BENCHMARK, "lrladder.axes/1": AXES, "lrladder.power/1": POWER}
    for older, today in names.items():
        assert upgrade.is_older(older) and not upgrade.is_older(today)
        assert upgrade.schema(older) == today
    assert upgrade.schema("lrladder.fit/1") == "lrladder.fit/1"


def test_todays_documents_stay_as_they_are() -> None:
    results = json.loads(build_results().to_json())
    assert upgrade.results(results) == results
    spec = tiny_trial().model_dump(mode="json")
    assert Trial.model_validate(upgrade.trial(spec)) == tiny_trial()


@pytest.mark.parametrize("name", ["folder_v3", "axes_v1", "power_v1"])
def test_what_is_given_is_not_changed(name: str) -> None:
    data = json.loads((FIXTURES / name / "results.json").read_text())
    before = copy.deepcopy(data)
    once = upgrade.results(data)
    assert data == before
    assert upgrade.results(once) == once != data


@pytest.mark.parametrize("preset", ["smoke", "axes", "power"])
def test_a_config_of_any_kind_with_its_old_keys_is_the_same_config(preset: str) -> None:
    today = load_study(preset).model_dump(mode="json")
    older = copy.deepcopy(today)
    for old, new in upgrade.RENAMED_KEYS.items():
        part, key = old.split(".")
        new_part, new_key = new.split(".")
        older[part][key] = older[new_part].pop(new_key)
    assert older != today
    assert upgrade.config(older) == today


def test_a_trial_of_version_3_is_that_of_version_4_and_an_earlier_one_keeps_its_number() -> None:
    spec = tiny_trial().model_dump(mode="json")
    optimizer = spec["optimizer"]
    older = {**spec, "spec_version": 3, "optimizer": {**optimizer, "load_balance": optimizer["aux_loss_coef"]}}
    del older["optimizer"]["aux_loss_coef"]
    assert Trial.model_validate(upgrade.trial(older)).id == tiny_trial().id
    assert upgrade.trial({**older, "spec_version": 2})["spec_version"] == 2


def test_a_preempted_trial_is_one_without_a_result() -> None:
    found = Measurement.model_validate(
        upgrade.measurement(
            {
                "trial_id": "a", "rung": "p", "parametrization": "sp", "lr": 0.1, "seed": 0, "horizon": 8,
                "verdict": "preempted",
            }
        )
    )  # fmt: skip
    assert (found.verdict, found.message, found.loss) == ("failed", "preempted", None)


def test_continued_horizons_are_those_of_the_config() -> None:
    data = json.loads((FIXTURES / "folder_v3" / "results.json").read_text())
    data["config"]["ladder"]["rungs"][-1]["continued"] = [131072, 65536]
    rungs = upgrade.results(data)["rungs"]
    assert [rung["continued"] for rung in rungs] == [[], [], [], [], [65536, 131072]]
