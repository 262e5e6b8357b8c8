"""Our rules pass, standard parametrization fails, and each planted bug fails where it should."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from lrladder.benchmark.checks.coordcheck import (
    Arm,
    Check,
    Result,
    Row,
    axes_of,
    check,
    judge,
    measure,
    probe_batch,
    probe_settings,
)
from lrladder.benchmark.cli import main
from lrladder.benchmark.studies.regret.config import load_config
from lrladder.models.coordcheck import Coordinate
from lrladder.models.parameters import tag_of
from lrladder.models.parametrization import Built, build, initialise
from lrladder.models.roles import Role
from lrladder.models.rules import MUTRANSFER, Rules
from lrladder.models.shape import ModelShape
from lrladder.reports.coordcheck.page import lines, render

SMOKE = load_config("smoke")
BASE = SMOKE.base.shape
Tamper = Callable[[Built, ModelShape], None]


def _nothing(built: Built, shape: ModelShape) -> None:
    pass


def _checks(axis: str, tamper: Tamper = _nothing, rules: Rules = MUTRANSFER, *, step: int = 1) -> dict[str, str]:
    """Verdict by role after one step, or before it, with the rule table tampered with before the init."""

    def make(shape: ModelShape, seed: int) -> Built:
        built = build(rules, shape, BASE, backend="grouped", embedding_std=SMOKE.optimizer.embedding_std, seed=seed)
        tamper(built, shape)
        initialise(built.model, built.rules, seed=seed)
        return built

    rows = list(measure(make, BASE, axis, probe_settings(SMOKE), steps=1, seeds=2))  # type: ignore[arg-type]
    return {found.role: found.outcome for found in judge(rows) if found.step == step}


def _retable(role: Role, change: Callable[..., object]) -> Tamper:
    def tamper(built: Built, shape: ModelShape) -> None:
        for name, param in built.model.named_parameters():
            if tag_of(param, name).role is role:
                built.rules[name] = change(built.rules[name], shape)  # type: ignore[assignment]

    return tamper


def _experts_in_fan_in(rule, shape):  # type: ignore[no-untyped-def]
    """MegaBlocks stores [experts * ffn, hidden]: a fan-in read off that shape counts the experts too."""
    m = shape.num_experts / BASE.num_experts
    return rule._replace(init_std=rule.init_std * m**-0.5, lr=rule.lr / m, weight_decay=rule.weight_decay * m)


def _no_branch_multiplier(built: Built, shape: ModelShape) -> None:
    built.model.branch_multiplier = 1.0


@pytest.mark.parametrize("axis", ["width", "depth", "experts"])
def test_our_rules_pass(axis: str) -> None:
    assert set(_checks(axis).values()) == {"pass"}


def test_standard_parametrization_fails_in_width_and_depth() -> None:
    width, depth = (_checks(axis, rules=Rules()) for axis in ("width", "depth"))
    for role in ("attention", "attention_logits", "router_logits", "experts", "residual", "logits"):
        assert width[f"{role}.update"] == "fail"
    assert depth["residual.update"] == depth["experts"] == "fail"


@pytest.mark.parametrize(
    ("axis", "tamper", "role"),
    [
        ("width", _retable(Role.ROUTER, lambda rule, shape: rule._replace(lr=1.0)), "router_logits.update"),
        ("experts", _retable(Role.EXPERT_DOWN, _experts_in_fan_in), "experts.update"),
        ("width", _retable(Role.ATTENTION, lambda rule, _: rule._replace(weight_decay=1.0)), "attention.decay"),
        ("depth", _no_branch_multiplier, "residual.update"),
    ],
    ids=["router LR not scaled", "experts in the fan-in", "decay coupled", "depth multiplier missing"],
)
def test_planted_bug_fails_at_its_role(axis: str, tamper: Tamper, role: str) -> None:
    assert _checks(axis, tamper)[role] == "fail"


def _unscaled(role: Role) -> Tamper:
    return _retable(role, lambda rule, _: rule._replace(lr=1.0))


@pytest.mark.parametrize("axis", ["width", "expert_width"])
def test_up_and_down_of_the_experts_are_told_apart(axis: str) -> None:
    """Each is at fault alone: what the other learns passes. Expert up's rule does not speak of the expert width."""
    at_fault = {"down": _checks(axis, _unscaled(Role.EXPERT_DOWN))}
    at_fault |= {"up": _checks(axis, _unscaled(Role.EXPERT_UP))} if axis == "width" else {}
    for place, found in at_fault.items():
        verdicts = {name: found[f"expert_{name}.update"] for name in ("up", "down")}
        assert verdicts == {"up": "pass", "down": "pass", place: "fail"}


def test_faults_of_up_and_down_that_hide_each_other_are_found() -> None:
    """Up learns too fast and down too slowly, so that together they may seem level."""

    def tamper(built: Built, shape: ModelShape) -> None:
        m = shape.width / BASE.width
        _retable(Role.EXPERT_UP, lambda rule, _: rule._replace(lr=rule.lr * m**0.5))(built, shape)
        _retable(Role.EXPERT_DOWN, lambda rule, _: rule._replace(lr=rule.lr * m**-0.5))(built, shape)

    found = _checks("width", tamper)
    assert found["expert_up.update"] == found["expert_down.update"] == "fail"


def test_a_shared_expert_has_its_own_coordinates() -> None:
    base = BASE.model_copy(update={"shared_width": BASE.width})

    def make(shape: ModelShape, seed: int) -> Built:
        return build(MUTRANSFER, shape, base, backend="grouped", embedding_std=1.0, seed=seed)

    rows = list(measure(make, base, "width", probe_settings(SMOKE), steps=1, seeds=2))
    verdicts = {found.role: found.outcome for found in judge(rows) if found.role.startswith("shared")}
    assert verdicts == {
        "shared_up": "pass", "shared_up.update": "pass", "shared_down.update": "pass",
        "shared_up.decay": "pass", "shared_down.decay": "pass",
    }  # fmt: skip


def test_a_routers_first_logits_must_fall_as_its_init_says() -> None:
    """1 / m_N of the base's std on inputs of one size; with fan_in^-1/2 the first logits are level."""
    level = _retable(Role.ROUTER, lambda rule, shape: rule._replace(init_std=shape.width**-0.5))
    for tamper, verdict in ((_nothing, "pass"), (level, "fail")):
        assert _checks("width", tamper, step=0)["router_logits"] == verdict
    assert _checks("width", rules=Rules(), step=0)["router_logits"] == "fail"


def test_coupled_decay_is_also_what_its_switch_gives() -> None:
    found = _checks("width", rules=MUTRANSFER.model_copy(update={"weight_decay": "standard"}))
    assert {role for role, outcome in found.items() if outcome == "fail"} == {
        "attention.decay", "expert_up.decay", "expert_down.decay",
    }  # fmt: skip


def test_batch_is_fixed_and_of_few_kinds() -> None:
    batch = probe_batch(512)
    assert (batch == probe_batch(512)).all()
    assert len(batch.unique()) == 4 and int(batch.max()) < 512


def test_judge_finds_a_planted_law() -> None:
    rows = [
        Row("width", factor, seed, Coordinate(step, "attention", "size", factor ** (0.2 * step), 1.0))
        for step in (0, 1)
        for factor in (1, 2, 4, 8)
        for seed in (0, 1)
    ]
    level, growing = judge(rows)
    assert (level.slope, level.outcome, level.n) == (0, "pass", 8)
    assert (growing.slope, growing.outcome) == (pytest.approx(0.2), "fail")


@pytest.fixture(scope="module")
def result() -> Result:
    return check(SMOKE, steps=1, seeds=1)


@pytest.fixture(scope="module")
def of_width(result: Result) -> Result:
    """One axis of it, so that a page takes a second."""
    arms = {
        name: Arm(
            tuple(row for row in arm.rows if row.axis == "width"),
            tuple(found for found in arm.checks if found.axis == "width"),
        )
        for name, arm in (("ours", result.ours), ("standard", result.standard))
    }
    return result._replace(**arms)


def test_json_holds_the_contract(result: Result) -> None:
    data = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert (data["outcome"], data["standard"]["outcome"]) == (result.ours.outcome, "fail")
    keys = [(row["axis"], row["role"], row["step"]) for row in data["checks"]]
    assert len(set(keys)) == len(keys)
    assert {axis for axis, *_ in keys} == set(axes_of(BASE))
    for row in data["checks"]:
        assert set(Check._fields) == set(row)
        assert row["outcome"] in ("pass", "fail")
        assert row["low"] <= row["slope"] <= row["high"]
        if row["outcome"] == "pass" and not row["note"]:
            assert abs(row["slope"]) <= 0.1
    transients = {
        (row["axis"], row["role"], row["step"]) for row in data["checks"] if "may fall at step 0" in row["note"]
    }
    assert ("width", "logits", 0) in transients and {step for *_, step in transients} == {0}


def test_axis_without_a_rule_is_measured_once(result: Result) -> None:
    assert result.same == ("experts",)
    of_experts = [[row for row in arm.rows if row.axis == "experts"] for arm in (result.ours, result.standard)]
    assert of_experts[0] == of_experts[1]


def test_page_is_whole_escaped_and_the_same_each_time(of_width: Result) -> None:
    page = render(of_width._replace(preset="<script>alert(1)</script>"))
    assert page == render(of_width._replace(preset="<script>alert(1)</script>"))
    assert "<script>" not in page and "nan" not in page.lower().split("base64")[0]
    assert page.count("<figure") == 2
    for outside in ('src="http', 'href="http', "@import", "url(http"):
        assert outside not in page


def test_the_sentence_says_what_the_slopes_are(of_width: Result) -> None:
    ours = {line.role: line.sentence for line in lines(of_width, "width")}
    assert "It is level" in ours["attention.update"] and "may fall at step 0" in ours["logits"]
    failed = of_width._replace(ours=of_width.standard)
    theirs = {line.role: line.sentence for line in lines(failed, "width")}
    assert "It grows like width" in theirs["attention.update"]
    assert "so the rule is not followed" in theirs["router_logits"]


def test_command_prints_json_alone_and_writes_the_page(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, of_width: Result
) -> None:
    monkeypatch.setattr("lrladder.benchmark.checks.coordcheck.check", lambda *_, **__: of_width)
    monkeypatch.setattr(sys, "argv", ["lrladder", "coordcheck", "smoke", "--json", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code in (0, None)
    assert json.loads(capsys.readouterr().out)["checks"]
    assert (tmp_path / "coordcheck" / "index.html").read_text().startswith("<!DOCTYPE html>")


def test_a_base_too_large_to_grow_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = SMOKE.model_dump(mode="json")
    for rung in data["ladder"]["rungs"]:
        rung["width"] *= 128
    file = tmp_path / "large.yaml"
    file.write_text(yaml.safe_dump(data))
    monkeypatch.setattr(sys, "argv", ["lrladder", "coordcheck", str(file)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "base p16x2" in capsys.readouterr().err
