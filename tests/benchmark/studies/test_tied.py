"""Studies of tied models: settings of an embedding of its own are refused, and the head's LR is that of the matrix."""

from typing import Any

import pytest

from lrladder.benchmark.config.text import parse_yaml, read_preset, validate
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.studies.recipe.config import TuningConfig
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.tune import tuning_of

TIED = {"ladder": {"architecture": {"tied": True}}}


def study(**changes: dict[str, Any]) -> RegretConfig:
    """The preset `smoke` with changes of its parts, and without settings of an embedding."""
    data = parse_yaml(read_preset("smoke"), source="smoke")
    data |= {"optimizer": {}, "recipe": {}, "parametrizations": {}}
    data["entries"] = {name: entry for name, entry in data["entries"].items() if name in ("fitting", "mutransfer")}
    for part, change in changes.items():
        data[part] = data.get(part, {}) | change
    return validate(RegretConfig, data, source="test")


def searching(*roles: str) -> dict[str, Any]:
    search = {"paradigm": "mutransfer", "parametrization": "mup", "lr_guess": 0.02, "seeds": [7, 8]}
    return {"roles": search | {"role_search": {"roles": roles, "factor": 2.0, "max_trials": 9}}}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"optimizer": {"embedding_std": 2.0}}, r"optimizer\.embedding_std: one matrix .* remove this key"),
        ({"recipe": {"embedding_lr": 2.0}}, r"recipe\.embedding_lr: one matrix .* set head_lr"),
        (
            {
                "parametrizations": {"own": {"rules": {"embedding": True}}},
                "entries": {"own": {"paradigm": "fitting", "parametrization": "own", "lr_guess": 0.02}},
            },
            r"own\.rules\.embedding: .* turn it off",
        ),
        ({"entries": searching("embedding")}, r"role 'embedding'; .* tied"),
        ({"entries": searching("head")}, r"role 'head'; .* tied"),
    ],
)
def test_settings_of_an_embedding_of_its_own_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        study(**TIED, **changes)
    study(**changes)  # an untied model has them


def test_the_head_lr_is_that_of_the_matrix() -> None:
    recipe = study(recipe={"head_lr": 8.0}).recipe
    assert recipe.role_lrs(tied=True) == {"norm": 1, "tied": 8, "router": 1}
    assert recipe.role_lrs(tied=False) == {"embedding": 1, "norm": 1, "head": 8, "router": 1}


def test_a_tuning_tunes_no_embedding() -> None:
    tuning = tuning_of(study(**TIED, recipe={"head_lr": 8.0}))
    assert {"embedding_lr", "embedding_std"}.isdisjoint(tuning.ingredients)
    assert "head_lr" in tuning.ingredients
    data = tuning.model_dump(mode="json") | {"recipe": {"embedding_lr": 2.0}}
    with pytest.raises(InputError, match=r"embedding_lr: one matrix"):
        validate(TuningConfig, data, source="test")
