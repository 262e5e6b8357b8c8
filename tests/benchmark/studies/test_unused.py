"""A setting that changes nothing in the models of a study is refused in one line, if the user wrote it."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from lrladder.benchmark.config.text import parse_yaml, preset_names, read_preset
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.studies.kinds import load_stored_study, load_study, parse_study
from lrladder.benchmark.studies.regret.config import RegretConfig, parse_config
from lrladder.benchmark.studies.tune import tuning_of

Change = dict[str, Any]
DENSE: Change = {"ladder": {"num_experts": 1, "top_k": 1}}
OWN_RULES: Change = {"parametrizations": {"own": {"rules": {"width": True, "router": True}}}}


def merged(data: Change, *changes: Change) -> Change:
    """The data with each section of the changes merged into it."""
    found = copy.deepcopy(data)
    for change in changes:
        for key, value in change.items():
            both = isinstance(value, dict) and isinstance(found.get(key), dict)
            found[key] = merged(found[key], value) if both else value
    return found


def text_of(*changes: Change, preset: str = "smoke") -> str:
    """A preset with changes, as YAML."""
    return yaml.safe_dump(merged(parse_yaml(read_preset(preset), source=preset), *changes))


OF_ROUTERS: dict[str, Change] = {
    "recipe.router_lr": {"recipe": {"router_lr": 0.5}},
    "optimizer.aux_loss_coef": {"optimizer": {"aux_loss_coef": 0.02}},
    "optimizer.z_loss_coef": {"optimizer": {"z_loss_coef": 0.02}},
    "architecture.renormalise": {"ladder": {"architecture": {"renormalise": False}}},
    "architecture.routed_scale": {"ladder": {"architecture": {"routed_scale": 2.5}}},
    "architecture.score": {"ladder": {"architecture": {"score": "sigmoid"}}},
    "architecture.expert_bias": {"ladder": {"architecture": {"expert_bias": True}}},
    "expert_backend": {"expert_backend": "reference"},
    "parametrizations.own.rules.router": OWN_RULES,
    "training.aux_loss_over": {"training": {"micro_batch": 1, "aux_loss_over": "micro_batch"}},
}
BIASED: Change = {"ladder": {"architecture": {"expert_bias": True}}}
GROUPED: Change = {"ladder": {"architecture": {"num_groups": 2}}}
BIAS_RATE: Change = {"optimizer": {"bias_rate": 0.01}}
GROUP_BEST: Change = {"ladder": {"architecture": {"group_best": 1}}}


@pytest.mark.parametrize("key", OF_ROUTERS)
def test_a_dense_model_has_no_settings_of_routers(key: str) -> None:
    for parse in (parse_study, parse_config):
        with pytest.raises(InputError) as refused:
            parse(text_of(DENSE, OF_ROUTERS[key]), source="study.yaml")
        why = "the models have no router (num_experts is 1), so this key changes nothing; remove it"
        assert str(refused.value) == f"study.yaml: {key}: {why}"
        parse(text_of(OF_ROUTERS[key]), source="study.yaml")  # models with experts have it


@pytest.mark.parametrize(
    ("setting", "with_part", "without_part", "told"),
    [
        (BIAS_RATE, BIASED, {}, r"optimizer\.bias_rate: the experts have no bias .* remove it"),
        (BIAS_RATE, BIASED, DENSE, r"optimizer\.bias_rate: the models have no router .* remove it"),
        (GROUP_BEST, GROUPED, {}, r"architecture\.group_best: the experts are in one group .* remove it"),
        (
            OF_ROUTERS["training.aux_loss_over"],
            {},
            {"optimizer": {"aux_loss_coef": 0.0}},
            r"training\.aux_loss_over: there is no balance loss .* remove it",
        ),
    ],
)
def test_a_setting_of_a_part_that_experts_lack_is_refused(
    setting: Change, with_part: Change, without_part: Change, told: str
) -> None:
    parse_study(text_of(setting, with_part), source="study.yaml")
    with pytest.raises(InputError, match=told):
        parse_study(text_of(setting, without_part), source="study.yaml")


def test_defaults_and_coefficients_of_zero_are_no_settings_of_the_user() -> None:
    """A stored config has every default, and rules of the router that are built in."""
    zeros = {"optimizer": {"aux_loss_coef": 0.0, "z_loss_coef": 0.0, "bias_rate": 0.0}}
    for change in ({}, zeros, {"parametrizations": {"mup": {"rules": {"horizon": "none"}}}}):
        config = parse_study(text_of(DENSE, change), source="study.yaml")
        stored = yaml.safe_dump(config.model_dump(mode="json"))
        assert parse_study(stored, source="config.yaml") == config


def test_every_study_that_is_printed_is_read(tmp_path: Path) -> None:
    """Presets, and the tuning of a dense study's recipe."""
    for name in preset_names():
        load_study(name)
    tuning = tuning_of(parse_study(text_of(DENSE), source="study.yaml")).model_dump(mode="json")
    parse_study(yaml.safe_dump(tuning), source="tuning.yaml")
    tuning["recipe"]["router_lr"] = 0.5
    with pytest.raises(InputError, match=r"recipe\.router_lr: the models have no router"):
        parse_study(yaml.safe_dump(tuning), source="tuning.yaml")


def test_rules_of_other_kinds_of_study_are_refused_too() -> None:
    dense = {"start": {"num_experts": 1, "top_k": 1}}
    axes = parse_yaml(read_preset("axes"), source="axes")["axes"]
    width = [axis for axis in axes if axis["axis"] == "width"]
    with pytest.raises(InputError, match=r"axes\.width\.variants\.on\.router: the models have no router"):
        parse_study(text_of(dense, {"axes": width}, preset="axes"), source="study.yaml")
    families = parse_yaml(read_preset("power"), source="power")["families"]
    dense = {"families": [family for family in families if family["name"] == "dense"]}
    parse_study(text_of(dense, preset="power"), source="study.yaml")
    parse_study(text_of(OF_ROUTERS["recipe.router_lr"], preset="power"), source="study.yaml")  # one family has routers
    with pytest.raises(InputError, match=r"study\.yaml: rules\.router: the models have no router"):
        parse_study(text_of(dense, {"rules": {"router": True}}, preset="power"), source="study.yaml")


def test_a_folder_of_an_older_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text_of(DENSE, OF_ROUTERS["recipe.router_lr"]))
    config = load_stored_study(tmp_path)
    assert isinstance(config, RegretConfig)
    assert config.recipe.router_lr == 0.5
    assert RegretConfig.model_validate(config.model_dump(mode="json")) == config  # as `recommend` and `report` read it
    with pytest.raises(InputError, match="router_lr"):
        load_study(str(tmp_path / "config.yaml"))
