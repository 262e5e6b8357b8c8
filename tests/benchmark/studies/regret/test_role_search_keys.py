"""A search of LRs by role is refused where a model has no parameters of the role, with the roles that it has."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from lrladder.benchmark.config.text import parse_yaml, read_preset, validate
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.models.roles import Role
from tests.faults.in_process import command

DENSE = {"num_experts": 1, "top_k": 1}
LADDERS: dict[str, dict[str, Any]] = {
    "moe": {},
    "dense": DENSE,
    "shared": {"shared_ratio": 0.5},
    "tied": {"architecture": {"tied": True}},
    "bias": {"architecture": {"qkv_bias": True}},
    "latent": {
        "kv_rank_ratio": 0.25,
        "q_rank_ratio": 0.5,
        "rope_size": 4,
        "value_size": 8,
        "architecture": {"qk_norm": "none"},
    },
}
LATENT = {Role.Q_A, Role.Q_B, Role.KV_A, Role.KV_B}
SHARED, DENSE_BLOCKS = {Role.SHARED_UP, Role.SHARED_DOWN}, {Role.DENSE_UP, Role.DENSE_DOWN}
LACKING = {
    "moe": SHARED | DENSE_BLOCKS | LATENT | {Role.BIAS, Role.TIED},
    "dense": SHARED | DENSE_BLOCKS | LATENT | {Role.BIAS, Role.TIED, Role.ROUTER},
    "shared": DENSE_BLOCKS | LATENT | {Role.BIAS, Role.TIED},
    "tied": SHARED | DENSE_BLOCKS | LATENT | {Role.BIAS, Role.EMBEDDING, Role.HEAD},
    "bias": SHARED | DENSE_BLOCKS | LATENT | {Role.TIED},
    "latent": SHARED | DENSE_BLOCKS | {Role.BIAS, Role.TIED},
}


def searching(role: str, **ladder: Any) -> dict[str, Any]:
    """The preset `smoke` with another kind of model, and a search of one role."""
    data = parse_yaml(read_preset("smoke"), source="smoke")
    data |= {"optimizer": {}, "recipe": {}, "parametrizations": {}}
    entry = data["entries"]["mutransfer"]
    data["ladder"] |= ladder
    data["entries"] = {"own": entry | {"role_search": {"roles": [str(role)], "max_trials": 3}}}
    return data


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("kind", LADDERS)
def test_a_role_is_searched_only_where_models_have_it(kind: str, role: Role) -> None:
    data = searching(role, **LADDERS[kind])
    if role not in LACKING[kind]:
        validate(RegretConfig, data, source="test")
        return
    with pytest.raises(InputError) as refused:
        validate(RegretConfig, data, source="test")
    told, choice = str(refused.value).split("; choose from ")
    assert told == f"test: entries.own.role_search.roles: the models have no parameters of the role '{role}'"
    assert set(choice.split(", ")) == set(Role) - LACKING[kind]


@pytest.mark.parametrize("verb", ["run", "plan", "tune-recipe"])
def test_commands_refuse_it_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(yaml.safe_dump(searching("router", **DENSE)), encoding="utf-8")
    out = [] if verb == "plan" else ["--out", str(tmp_path / "out")]
    assert command(monkeypatch, verb, str(study), *out) == 2
    told = capsys.readouterr().err
    assert "the models have no parameters of the role 'router'; choose from" in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()
