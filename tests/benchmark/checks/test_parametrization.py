"""doctor --parametrization: what it prints is what training builds."""

import json

import pytest
from typer.testing import CliRunner

from lrladder.benchmark.checks.parametrization import effective
from lrladder.benchmark.cli import app, main
from lrladder.benchmark.config.parts import RecipeConfig
from lrladder.benchmark.lab.resolve import resolve
from lrladder.benchmark.studies.regret.config import RegretConfig, load_config
from lrladder.benchmark.training.optimizer import betas, groups
from lrladder.models import parametrization
from lrladder.paradigms.lab import Request

CONFIG = load_config("smoke").model_copy(update={"recipe": RecipeConfig(embedding_lr=32.0, router_lr=0.5)})


def test_values_are_those_of_the_groups_that_train() -> None:
    target = CONFIG.rungs.targets[-1]
    (found,) = effective(CONFIG, rung=target.name, lr=0.02)
    request = Request(target.name, "mup", 0.02, 0, (max(target.horizons),))
    (trial,) = resolve(request, CONFIG, corpus_digest="", precision="fp32")
    built = parametrization.build(
        trial.rules, trial.shape, trial.base.shape, backend="grouped", embedding_std=1.0, seed=0
    )
    names = {id(param): name for name, param in built.model.named_parameters()}
    by_name = {parameter.name: parameter for parameter in found.parameters}
    assert set(by_name) == set(names.values())
    for group in groups(trial, built.model, built.rules):
        assert isinstance(group["params"], list)
        for param in group["params"]:
            one = by_name[names[id(param)]]
            assert (one.lr, one.weight_decay, one.eps) == (group["lr"], group["weight_decay"], group["eps"])
            assert one.shape == tuple(param.shape)
    assert (found.beta1, found.beta2) == betas(trial)


def test_the_proxy_gets_the_recipe() -> None:
    proxy, *targets = effective(CONFIG)
    assert proxy.rung == CONFIG.base_rung
    assert [target.part for target in targets] == ["target"] * len(CONFIG.rungs.targets)
    assert {(p.role, p.lr) for p in proxy.parameters if p.lr != 1} == {("embedding", 32.0), ("router", 0.5)}
    assert {parameter.forward for parameter in proxy.parameters} == {1.0}


def test_the_command_prints_a_table_and_json() -> None:
    table = CliRunner().invoke(app, ["doctor", "--parametrization", "smoke"])
    assert table.exit_code == 0
    assert "router" in table.stdout
    printed = CliRunner().invoke(app, ["doctor", "--parametrization", "smoke", "--rung", "t48x4", "--json"])
    assert [one["rung"] for one in json.loads(printed.stdout)] == ["t48x4"]


def test_a_model_past_this_machine_costs_nothing() -> None:
    largest = effective(load_config("moe12b"))[-1]
    assert sum(parameter.lr < 1 for parameter in largest.parameters) > 100


def test_a_fitted_exponent_is_said_to_be_unknown() -> None:
    data = CONFIG.model_dump()
    data["parametrizations"]["mup"]["rules"]["horizon"] = "fitted"
    config = RegretConfig.model_validate(data)
    assert "exponent" in effective(config)[-1].note
    assert effective(CONFIG)[-1].note == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--parametrization", "smoke", "--rung", "nope"], "t48x4"),
        (["--parametrization", "nope"], "unknown"),
        (["--parametrization", "axes"], "kind"),
        (["--parametrization", "smoke", "--lr", "nan"], "--lr nan"),
        (["--parametrization", "smoke", "--lr", "-1"], "--lr -1"),
        (["--rung", "t48x4"], "--parametrization"),
        (["--json"], "--parametrization"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["lrladder", "doctor", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
