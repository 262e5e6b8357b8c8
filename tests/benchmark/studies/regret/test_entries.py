"""Entries: any paradigm under any arm, within its limits; and classes of the user's own."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from lrladder.benchmark import upgrade
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.simulated import SimulatedLab
from lrladder.benchmark.lab.truth import TrueLaw
from lrladder.benchmark.own_runs.replay import replay
from lrladder.benchmark.own_runs.runs import load_runs
from lrladder.benchmark.recommend.study import advise
from lrladder.benchmark.recommend.wanted import Wanted
from lrladder.benchmark.studies.kinds import plan_of
from lrladder.benchmark.studies.regret.config import RegretConfig, load_config, parse_config
from lrladder.benchmark.studies.regret.making import require_paradigms
from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.benchmark.studies.runner import run_on
from lrladder.paradigms import registry
from lrladder.paradigms.lab import Measurement, Request, Rung
from lrladder.paradigms.paradigm import Paradigm, Proposal
from lrladder.reports.regret import page
from tests.faults.refusals import Refusals
from tests.paths import ROOT, TWO_TARGETS

CONFIG = load_config(TWO_TARGETS)
LAW = TrueLaw(k=50.0, u=0.4, v=0.3, mup_base=CONFIG.base.shape.n_active, mup_tokens=CONFIG.base.tokens)
SEARCH = {"lr_guess": 0.016, "seeds": (0,)}
HERE = "tests.benchmark.studies.regret.test_entries"
PAGE = (ROOT / "docs" / "own-paradigm.md").read_text()


class Log(SimulatedLab):
    """Remembers who asked for what."""

    asked: list[tuple[str, Request]]

    def measure(self, requests: Sequence[Request], *, payer: str) -> list[list[Measurement]]:
        self.asked = [*getattr(self, "asked", []), *((payer, request) for request in requests)]
        return super().measure(requests, payer=payer)


class Toy(Paradigm):
    """Runs what its settings say, and proposes a fixed LR."""

    def search(self, lab: Any, ladder: Sequence[Rung]) -> None:
        places = {rung.name: rung for rung in ladder}
        said = self.settings
        lab.losses(places[said.rung], said.lrs, max(places[said.rung].horizons), seed=said.seed)
        if said.fault:
            raise RuntimeError("a fault of its own")

    def propose(self, rung: Rung, horizon: int) -> Proposal:
        return Proposal(rung=rung.name, horizon=horizon, lr=0.01, extrapolation=1.0)


class ToyAtTarget(Toy):
    searches_targets = True


def toy(kind: str = "Toy", **changes: object) -> dict[str, object]:
    said = {"rung": "p32x2", "lrs": (0.01, 0.02), "seed": 9, "fault": False}
    return {"paradigm": f"{HERE}:{kind}", "parametrization": "sp", **said, **changes}


def with_entries(**entries: dict[str, object]) -> RegretConfig:
    data = CONFIG.model_dump()
    fitting = data["entries"]["fitting"]
    return RegretConfig.model_validate({**data, "entries": {"fitting": fitting, **entries}})


def simulate(config: RegretConfig) -> tuple[RegretResults, Log]:
    lab = Log(config.rungs, LAW, noise_sd=0.001)
    return run_on(config, lab), lab


def reason(results: RegretResults, name: str) -> str:
    return next(entry.reason for entry in results.entries if entry.name == name)


def test_a_class_of_ones_own_competes_and_is_drawn() -> None:
    results, lab = simulate(with_entries(toy=toy()))
    assert results.complete
    for target in results.targets:
        found = next(p for p in target.paradigms if p.name == "toy")
        assert (found.lr, found.lr_low, found.parametrization) == (0.01, None, "sp")
        assert found.lr_regret is not None
        assert found.cost_flops == lab.cost_flops("toy") > 0
    assert RegretResults.from_json(results.to_json()) == results
    assert "toy" in page.render(results)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (toy(rung="t96x3"), "at the target t96x3; only a class with searches_targets = True may do that"),
        (
            toy("ToyAtTarget", rung="t96x3", seed=0),
            "a run with seed 0 at the target t96x3; it is kept for scoring there",
        ),
        (toy(budget=1e-3), "its budget of 0.001 target runs is spent"),
        (toy(fault=True), "RuntimeError: a fault of its own"),
        (toy(rung="p32x2", lrs=(-1.0,)), ""),
    ],
)
def test_a_refusal_or_a_fault_ends_the_entry_and_not_the_study(entry: dict[str, object], said: str) -> None:
    results, lab = simulate(with_entries(toy=entry))
    assert said in reason(results, "toy") and reason(results, "toy")
    assert any("no proposal of toy" in line for line in results.missing)
    assert all([p.name for p in target.paradigms] == ["fitting"] for target in results.targets)
    targets = {rung.name for rung in CONFIG.rungs.targets}
    assert not any(payer == "toy" and request.rung in targets for payer, request in lab.asked)


def test_a_class_that_searches_targets_says_so() -> None:
    results, lab = simulate(with_entries(toy=toy("ToyAtTarget", rung="t96x3")))
    assert next(entry.searches_targets for entry in results.entries if entry.name == "toy")
    flags = [flag for t in results.targets for p in t.paradigms if p.name == "toy" for flag in p.flags]
    assert flags == ["its search trained on this target itself"] * len(results.targets)
    assert ("toy", "t96x3") in {(payer, request.rung) for payer, request in lab.asked}


ALL = {
    "full_mup": {"paradigm": "fitting", "parametrization": "mup", **SEARCH},
    "factor": {"paradigm": "fitting", "parametrization": "sp", "strategy": "search_factor", "budget": 5, **SEARCH},
    "economy": {"paradigm": "fitting", "parametrization": "sp", "strategy": "economy", "budget": 2, **SEARCH},
    "active": {"paradigm": "fitting", "parametrization": "sp", "strategy": "active", "budget": 3, **SEARCH},
    "copy": {"paradigm": "nearest_cell", "parametrization": "sp", **SEARCH},
    "constant": {"paradigm": "constant", "parametrization": "sp", "by": "best", **SEARCH},
    "ratio": {"paradigm": "published", "parametrization": "sp", "law": "step_law", **SEARCH},
    "tpe": {"paradigm": "tpe", "parametrization": "sp", "lr_guess": 0.016},
    "random": {"paradigm": "random", "parametrization": "sp", "lr_guess": 0.016, "trials": 4},
    "transfer": {"paradigm": "mutransfer", "parametrization": "mup", **SEARCH},
    "other_proxy": {"paradigm": "mutransfer", "parametrization": "mup", "proxy": "p32x2", **SEARCH},
}


def test_every_shipped_paradigm_competes_and_keeps_to_its_arm_and_budget() -> None:
    config = with_entries(**ALL)  # type: ignore[arg-type]
    results, lab = simulate(config)
    assert results.complete, (results.missing, [entry.reason for entry in results.entries])
    largest = max(rung.flops_per_token * max(rung.horizons) for rung in config.rungs.targets)
    targets = {rung.name for rung in config.rungs.targets}
    for name, entry in config.entries.items():
        own = [request for payer, request in lab.asked if payer == name]
        assert {request.parametrization for request in own} == {entry.parametrization}
        assert any(request.rung in targets for request in own) == (name in ("tpe", "random"))
        if entry.budget is not None:
            assert lab.cost_flops(name) <= entry.budget * largest * (1 + 1e-6)
    assert {label for target in results.targets for label in target.oracle} == {"sp", "mup"}
    assert [p.name for p in results.targets[0].paradigms] == list(config.entries)
    assert "other_proxy" in page.render(results)
    assert plan_of(config).planned.runs > 0


def test_recommend_gives_each_entrys_own_answer_from_what_is_stored() -> None:
    config = with_entries(**ALL)  # type: ignore[arg-type]
    results, _ = simulate(config)
    for target in results.targets:
        for p in target.paradigms:
            assert advise(results, Wanted(p.name, target.rung)).lr == pytest.approx(p.lr)
    for name in ("factor", "economy", "other_proxy", "ratio"):
        assert advise(results, Wanted(name, sizes={"width": 64, "depth": 4}, tokens=10**6, batch_tokens=2048)).lr > 0
    with pytest.raises(InputError, match=r"tpe .* answers only for its study's targets and goals"):
        advise(results, Wanted("tpe", sizes={"width": 64, "depth": 4}, tokens=10**6, batch_tokens=2048))
    with pytest.raises(InputError, match="--entry econmy is not in the study; did you mean 'economy'"):
        advise(results, Wanted("econmy", "t96x3"))


def test_a_budget_that_ends_a_search_is_said_in_a_flag() -> None:
    proxy = CONFIG.rungs.rung("p32x2")
    price = proxy.flops_per_token * max(proxy.horizons)
    largest = max(rung.flops_per_token * max(rung.horizons) for rung in CONFIG.rungs.targets)
    entry = {"paradigm": "mutransfer", "parametrization": "mup", "proxy": "p32x2", "lr_guess": 0.0005, "points": 3}
    results, lab = simulate(with_entries(tight={**entry, "budget": 4.5 * price / largest}))
    assert lab.cost_flops("tight") <= 4.5 * price
    curves = next(found.curves for found in results.entries if found.name == "tight")
    said = [flag for curve in curves for flag in curve.flags] + [reason(results, "tight")]
    assert any("would exceed the budget" in flag for flag in said) or "no bracketed minimum" in said[-1]


def test_schedules_and_parametrizations_have_names_and_bases() -> None:
    data = CONFIG.model_dump()
    data["parametrizations"]["widths"] = {"rules": {"width": True}, "base": "p32x2"}
    data["schedules"]["long"] = {"decay_fraction": 0.5}
    own = {"paradigm": "mutransfer", "parametrization": "widths", **SEARCH}
    data["entries"] = {"plain": own, "long": own | {"schedule": "long"}}
    config = RegretConfig.model_validate(data)
    assert config.labels == ("widths", "widths+long")
    assert config.schedule_of("widths+long").decay_fraction == 0.5
    assert config.rules_of("widths").width and not config.rules_of("widths").router
    assert config.base_of(config.rungs[0], "widths").shape.width == 32 != config.base.shape.width
    assert RegretConfig.model_validate(config.model_dump(mode="json")) == config
    results, _ = simulate(config)
    assert set(results.targets[0].oracle) == {"widths", "widths+long"}
    assert all(p.schedule_gap is not None for p in results.targets[0].paradigms)


def test_two_arms_cannot_share_a_name() -> None:
    data = CONFIG.model_dump()
    data["parametrizations"]["mup+power"] = {"rules": {}}
    data["entries"]["other"] = {"paradigm": "fitting", "parametrization": "mup+power", **SEARCH}
    with pytest.raises(ValueError, match="two pairs of a parametrization and a schedule would be named 'mup\\+power'"):
        RegretConfig.model_validate(data)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"paradigm": "fiting", "parametrization": "sp"}, "paradigm 'fiting' is unknown; give one of fitting"),
        (
            {"paradigm": "fitting", "parametrization": "ps", **SEARCH},
            "x.parametrization: there is no parametrization 'ps'",
        ),
        (
            {"paradigm": "fitting", "parametrization": "sp", "lr_gues": 1},
            "unknown key lr_gues; did you mean 'lr_guess'",
        ),
        ({"paradigm": "fitting", "parametrization": "sp", "rules": {}}, "rules do not belong to an entry"),
        ({"paradigm": "tpe", "parametrization": "sp", "lr_guess": 1, "seed": 0}, "seed: 0 is in validation.seeds"),
        ({"paradigm": "fitting", "parametrization": "sp", "schedule": "pow", **SEARCH}, "did you mean 'power'"),
        ({"paradigm": "mutransfer", "parametrization": "mup", "proxy": "t96x3", **SEARCH}, "x.proxy: 't96x3' is not a"),
    ],
)
def test_a_bad_entry_is_one_line_that_names_it(entry: dict[str, object], said: str) -> None:
    data = CONFIG.model_dump(mode="json")
    with pytest.raises(InputError, match=re.escape(said)) as error:
        parse_config(json.dumps({**data, "entries": {"x": entry}}), source="f")
    assert "\n" not in str(error.value) and "entries.x" in str(error.value)


def test_the_old_key_is_refused_with_what_replaces_it() -> None:
    data = CONFIG.model_dump(mode="json", exclude={"entries", "base_rung", "parametrizations", "schedules"})
    search = {"lr_guess": 0.016, "seeds": [0, 1]}
    old = {"fitting": search, "mutransfer": {**search, "rules": {"horizon": "none"}}, "mutransfer_proxy": "p48x3"}
    with pytest.raises(InputError, match="key paradigms is now entries") as error:
        parse_config(json.dumps({**data, "paradigms": old}), source="f")
    assert "\n" not in str(error.value)
    written = re.findall(r"'((?:base|parametrizations|entries): .*?)'(?=, '|$)", str(error.value))
    text = "\n".join(written)
    kept = "\n".join(f"{key}: {json.dumps(value)}" for key, value in data.items())
    replaced = parse_config(f"{kept}\n{text}", source="f")
    upgraded = upgrade.config({**data, "paradigms": old})
    assert replaced.model_dump(exclude={"validation"}) == RegretConfig.model_validate(upgraded).model_dump(
        exclude={"validation"}
    )
    assert list(replaced.entries) == ["fitting", "mutransfer", "mutransfer+power"]
    assert replaced.rules_of("mup").horizon == "none"


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The page's class in a working directory, and nowhere else."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(code.splitlines()) < 60
    (tmp_path / "two_sizes.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield tmp_path
    sys.modules.pop("two_sizes", None)


def page_config(base: RegretConfig) -> dict[str, Any]:
    entry = {"paradigm": "two_sizes:TwoSizes", "parametrization": "mup", "lr_guess": 0.03}
    return {**base.model_dump(mode="json"), "entries": {"two_sizes": {**entry, "budget": 5}}}


def test_the_pages_class_runs_in_a_simulation_with_leave_alone(
    own_module: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = Refusals(capsys, monkeypatch)
    data = page_config(CONFIG)
    config = RegretConfig.model_validate({**data, "simulated": {"law": LAW.model_dump()}})
    (own_module / "study.yaml").write_text(config.model_dump_json())
    run = ("run", "study.yaml", "--out", str(own_module / "out"))
    assert "two_sizes is in the working directory and not installed: allow it with --allow-import" in refused(*run)
    assert not (own_module / "out").exists() and "two_sizes" not in sys.modules
    assert "no installed package is called absent" in _refused(data, "absent.module:Class")
    require_paradigms(config, from_here=True)
    results, _ = simulate(config)
    assert results.complete
    sys.modules.pop("two_sizes")
    (own_module / "two_sizes.py").write_text("raise SystemExit('imported')")
    assert advise(results, Wanted("two_sizes", "t96x3")).lr == results.targets[0].paradigms[0].lr
    assert "two_sizes" in page.render(results)
    assert plan_of(config).notes and "two_sizes" not in sys.modules


def test_the_pages_class_runs_in_a_replay_with_leave_alone(own_module: Path) -> None:
    runs, strategy = load_runs(ROOT / "docs" / "runs.csv"), "two_sizes:TwoSizes,lr_guess=0.03"
    with pytest.raises(InputError, match=r"in the working directory and not installed: allow it with --allow-import"):
        replay(runs, strategies=[strategy])
    for given, said in (
        (",lr_guess=low", "lr_guess: "),
        (",lr_guess", "is not a setting; write key=value"),
        ("s", "no Two"),
    ):
        with pytest.raises(InputError, match=said):
            replay(runs, strategies=[f"two_sizes:TwoSizes{given}"], from_here=True)
    made = replay(runs, strategies=[strategy], budgets=[0.01, 5], from_here=True)
    assert made.targets
    for target in made.targets:
        _, poor, rich = target.strategies
        assert poor.cost_fraction <= 0.01 and any("its budget of 0.01 target runs is spent" in f for f in poor.flags)
        assert rich.lr is not None and 0 < rich.cost_fraction <= 5 and "no interval" in rich.flags


def test_a_name_of_the_registry_is_a_paradigm_with_its_settings_in_a_study_too() -> None:
    arm = {"parametrization": "sp", **SEARCH}
    named = with_entries(x={"paradigm": "economy", **arm}).entries["x"]
    assert named == with_entries(x={"paradigm": "fitting", "strategy": "economy", **arm}).entries["x"]
    with pytest.raises(ValueError, match="the paradigm economy already stands for strategy: economy; remove strategy"):
        with_entries(x={"paradigm": "economy", "strategy": "active", **arm})
    refitted = {"paradigm": "step_law_refitted", **arm}
    config = with_entries(known={"paradigm": "step_law_published", **arm}, refitted=refitted)
    results, lab = simulate(config)
    assert results.complete and lab.cost_flops("known") == 0 < lab.cost_flops("refitted")
    planned = {name: [t for t in plan_of(config).trials if t.payer == name] for name in ("known", "refitted")}
    assert not planned["known"] and {t.horizons for t in planned["refitted"]} == {(131072, 262144)}


def _refused(data: dict[str, Any], path: str) -> str:
    data["entries"]["two_sizes"]["paradigm"] = path
    with pytest.raises(InputError) as error:
        require_paradigms(RegretConfig.model_validate(data), from_here=True)
    return str(error.value)


def test_the_settings_of_ones_own_are_checked_before_anything_runs(own_module: Path) -> None:
    data = page_config(CONFIG)
    data["entries"]["two_sizes"]["points"] = "many"
    with pytest.raises(InputError, match=r"entries.two_sizes.points: "):
        require_paradigms(RegretConfig.model_validate(data), from_here=True)


def test_the_pages_class_runs_in_a_trained_study(own_module: Path) -> None:
    """About 20 seconds: two proxies and a target, 16 steps each."""
    data = page_config(load_config("smoke"))
    rungs = data["ladder"]["rungs"]
    data["ladder"]["rungs"] = [{**rung, "horizons": [16384]} for rung in (*rungs[:2], rungs[3])]
    data["entries"]["two_sizes"]["points"] = 3
    (own_module / "study.yaml").write_text(json.dumps(data))
    command = [sys.executable, "-m", "lrladder", "run", "study.yaml", "--out", "out", "--allow-import"]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = RegretResults.from_json((own_module / "out" / "results.json").read_text())
    assert results.complete
    assert [p.name for p in results.targets[0].paradigms] == ["two_sizes"]


def test_a_name_of_an_installed_package_is_resolved_and_a_paradigm_is_a_subclass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [EntryPoint("mine", f"{HERE}:Toy", registry.GROUP)]
    monkeypatch.setattr(registry, "entry_points", lambda group: found if group == registry.GROUP else [])
    config = with_entries(toy={**toy(), "paradigm": "mine"})
    assert config.entries["toy"].paradigm == f"{HERE}:Toy"  # as it is stored, for those without the package
    require_paradigms(config, from_here=False)
    for path, said in ((f"{HERE}:simulate", "is not a subclass of"), (f"{HERE}:Absent", "has no Absent")):
        with pytest.raises(InputError, match=said):
            require_paradigms(with_entries(toy={**toy(), "paradigm": path}), from_here=False)


def test_a_study_is_read_and_planned_without_what_searches_need() -> None:
    heavy = "scipy", "torch", "sklearn", "lrladder.paradigms.fitting"
    code = (
        "import sys; from lrladder.benchmark.studies.regret.config import load_config; load_config('cpu'); "
        f"sys.exit(' '.join(name for name in {heavy} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.strip() == ""
