"""The Python API: it is light, documented and typed, and says what the commands say."""

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

import lrladder as ll
from lrladder.benchmark.api.spoken import in_python
from lrladder.benchmark.cli import app
from lrladder.benchmark.own_runs.runs import load_runs
from lrladder.benchmark.studies.kinds import parse_study
from lrladder.benchmark.studies.runner import Ended
from tests.hf.peers import transformers
from tests.paths import ROOT, TWO_TARGETS

LAW = {"k": 50.0, "u": 0.4, "v": 0.3, "mup_base": 12000}
DOCS = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
TABLE = ROOT / "docs" / "runs.csv"


def simulated(preset: str = TWO_TARGETS, **changes: object) -> ll.Study:
    """A study of the repository with simulated losses."""
    return ll.Study(yaml.safe_dump({**yaml.safe_load(Path(preset).read_text()), "simulated": {"law": LAW}, **changes}))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ll.Run:
    """What `ll.run` returns and writes, but for the page, which takes seconds."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("lrladder.reports.pages.write_report", lambda results, folder: folder)
        return ll.run(simulated(), out=folder)


def test_the_import_takes_only_the_standard_library_and_little_of_it() -> None:
    code = "import sys; before = set(sys.modules); import lrladder; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    found = done.stdout.split()
    assert "lrladder" in found
    assert len(found) <= 12
    assert {name.partition(".")[0] for name in found} <= {*sys.stdlib_module_names, "lrladder"}


@pytest.mark.parametrize("name", ll.__all__)
def test_every_name_is_there_and_is_described(name: str) -> None:
    assert name in dir(ll)
    assert inspect.getdoc(getattr(ll, name))
    assert re.search(rf"\bll\.{name}\b|`{name}`", DOCS)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="lrladder"):
        _ = ll.nothing  # type: ignore[attr-defined]


def public(kind: type) -> Iterator[tuple[str, Any]]:
    for name, value in vars(kind).items():
        inner = getattr(value, "func", getattr(value, "__func__", getattr(value, "fget", value)))
        if not name.startswith("_") and callable(inner):
            yield f"{kind.__name__}.{name}", inner


def test_every_member_has_a_docstring_and_types() -> None:
    kinds = [
        value for name in ll.__all__ if isinstance(value := getattr(ll, name), type) and value is not ll.InputError
    ]
    members = [member for kind in kinds for member in public(kind)]
    members += [(name, value) for name in ll.__all__ if not isinstance(value := getattr(ll, name), type)]
    assert len(members) > 30
    for name, value in members:
        assert inspect.getdoc(value), name
        assert "return" in value.__annotations__, name


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("--batch-tokens is missing: give it", "batch_tokens is missing: give it"),
        ("raise --memory, or give --no-validation", "raise memory_gib, or give validation=False"),
        ("name --entry fitting, or give --force", "name entry fitting, or give force=True"),
        ("--replace takes it; by --ignore-unknown", "replace=True takes it; by ignore_unknown=True"),
        ("again: `lrladder fit RUNS.csv --out DIR`", "again: `lrladder fit RUNS.csv --out DIR`"),
        ("two\nlines \x1b[1m", "two lines \\x1b[1m"),
    ],
)
def test_messages_name_arguments_and_not_options(message: str, said: str) -> None:
    assert in_python(message) == said


def test_bad_input_is_one_line_with_a_remedy(run: ll.Run, tmp_path: Path) -> None:
    (tmp_path / "fitted").mkdir()
    study, trained = simulated(), ll.Study.read("smoke")
    refused = {
        "give a finite number from 1": lambda: ll.Goal(tokens=float("inf"), batch_tokens=1),
        "give the tokens of one step": lambda: ll.Goal(tokens=10, batch_tokens=100),
        "use one of p32x2": lambda: run.recommend("t97"),
        "or the name of a model of the study: p32x2": lambda: run.recommend(),
        "did you mean 'cpu'": lambda: ll.Study.read("cpi"),
        "the YAML: unknown key entrees": lambda: ll.Study(study.yaml + "entrees: {}\n").plan(),
        "leave out tflops and workers": lambda: study.plan(gpus=8, workers=2),
        "holds no results": lambda: ll.load(tmp_path / "fitted"),
        "run `lrladder fit RUNS.csv": lambda: ll.Fit.load(tmp_path / "fitted"),
        "columns rate: there is no such column": lambda: ll.fit(TABLE, columns={"rate": "lr"}),
        "batch_tokens is missing": lambda: run.law.predict(n_active=1e5, tokens=1e6),
        "n_total 5 is less than n_active 100,000": lambda: run.law.predict(1e5, 1e6, n_total=5, batch_tokens=1024),
        "holds no study": lambda: ll.ask(tmp_path),
        "gpus 0: give a finite number above zero": lambda: study.plan(gpus=0),
        "workers -1: give a finite": lambda: ll.run(study, out=tmp_path / "run", workers=-1),
        "expected tags: 'local', 'hosts', 'ray'": lambda: ll.run(trained, out=tmp_path / "run", executor="slurm"),
        "unknown key executor.ray.adress": lambda: ll.run(
            trained, out=tmp_path / "run", executor={"kind": "ray", "adress": "auto"}
        ),
        "trains no run here; leave out executor": lambda: ll.run(study, out=tmp_path / "run", executor="ray"),
        "absent: cannot be read": lambda: ll.run(
            trained, out=tmp_path / "run", executor={"kind": "hosts", "hostfile": "absent"}
        ),
        "budget nan: give a finite": lambda: ll.fit(TABLE, budget=float("nan")),
        "n_active inf: give a whole number": lambda: run.law.predict(n_active=float("inf"), tokens=1e6),
    }
    for remedy, call in refused.items():
        with pytest.raises(ll.InputError, match=re.escape(remedy)) as error:
            call()
        assert "\n" not in str(error.value)
        assert not re.search(r"--\w", re.sub("`[^`]*`", "", str(error.value)))


def test_a_study_is_its_yaml(tmp_path: Path) -> None:
    study = ll.Study.read(TWO_TARGETS)
    assert study.yaml == Path(TWO_TARGETS).read_text()
    assert study.config == parse_study(study.yaml, source="test")
    assert study.expected is None


def test_the_plan_has_every_run_of_the_command() -> None:
    done = CliRunner().invoke(app, ["plan", TWO_TARGETS, "--workers", "2", "--json"])
    said = json.loads(done.stdout)
    plan = ll.Study.read(TWO_TARGETS).plan(workers=2)
    assert json.loads(plan.document.to_json()) == said
    certain = plan.runs[~plan.runs["is_extension"]]
    assert certain["n_runs"].sum() == said["planned"]["runs"] == plan.planned.runs
    assert (certain["n_runs"] * certain["flops_per_run"]).sum() == pytest.approx(said["planned"]["flops"])
    assert plan.placements.empty


def test_a_plan_for_gpus_has_a_placement_for_each_model() -> None:
    study = ll.Study.read(TWO_TARGETS)
    plan = study.plan(gpus=8)
    assert list(plan.placements["rung"]) == [rung.name for rung in study.config.rungs]
    assert (plan.placements["n_gpus"] <= 8).all()


def test_a_loaded_study_is_the_one_that_ran(run: ll.Run) -> None:
    again = ll.load(run.folder)
    assert again == run
    pd.testing.assert_frame_equal(again.measurements, run.measurements)
    assert run.complete
    assert run.page is None
    assert run.verdict.startswith("SIMULATED")
    for target in run.results.targets:  # type: ignore[attr-defined]
        assert target.conclusion in run.verdict


def test_measurements_are_those_of_the_results(run: ll.Run) -> None:
    frame = run.measurements
    assert len(frame) == len(run.results.measurements)
    for row, one in zip(frame.itertuples(), run.results.measurements, strict=True):
        assert (row.trial_id, row.lr, row.seed, row.tokens) == (one.trial_id, one.lr, one.seed, one.horizon)
        assert row.loss_nats == one.loss
    sizes = {rung.name: rung.n_active for rung in run.results.rungs}  # type: ignore[attr-defined]
    assert dict(zip(frame["rung"], frame["n_active"], strict=True)).items() <= sizes.items()


def test_scores_are_in_millinats_and_name_the_winner(run: ll.Run) -> None:
    rows = run.scores.set_index(["target", "tokens", "entry"])
    for target in run.results.targets:  # type: ignore[attr-defined]
        for one in target.paradigms:
            row = rows.loc[(target.rung, target.tokens, one.name)]
            assert row["regret_millinats"] == pytest.approx(1e3 * one.regret)
            assert row["wins"] == (target.winner == one.name)


def test_an_older_folder_and_one_without_runs_have_the_same_columns(run: ll.Run) -> None:
    old = ll.load(ROOT / "tests" / "fixtures" / "folder_v3").measurements
    empty = ll.Run(run.folder, run.results.model_copy(update={"measurements": ()})).measurements
    assert list(old.columns) == list(empty.columns) == list(run.measurements.columns)
    assert dict(old.dtypes) == dict(empty.dtypes) == dict(run.measurements.dtypes)
    assert len(old) > 0
    assert old["n_active"].notna().all()


@pytest.mark.parametrize("name", ["axes_v1", "power_v1"])
def test_studies_of_other_kinds_have_measurements_and_a_verdict_but_no_lr(name: str) -> None:
    found = ll.load(ROOT / "tests" / "fixtures" / name)
    assert found.verdict
    assert len(found.measurements) == len(found.results.measurements)
    for asked in (lambda: found.law, lambda: found.scores, lambda: found.recommend()):
        with pytest.raises(ll.InputError, match="compares no entries"):
            asked()


def test_a_notebook_shows_text_of_a_folder_as_text(run: ll.Run) -> None:
    hostile = "<script>alert(1)</script>"
    changed = run.results.model_copy(update={"preset": hostile, "missing": (hostile,)})
    shown = ll.Run(Path(hostile), changed)._repr_html_()
    assert "<script>" not in shown
    assert shown.count("&lt;script&gt;") >= 3
    rec = run.recommend("t96x3")
    weak = rec.advice.model_copy(update={"flags": (hostile,), "why": hostile})
    assert "<script>" not in ll.Recommendation(weak)._repr_html_()


def test_the_law_predicts_as_the_command_does(run: ll.Run) -> None:
    found = run.law.predict(n_active=2e5, tokens=1e6, batch_tokens=2048)
    asked = ["--n-active", "2e5", "--tokens", "1e6", "--batch-tokens", "2048", "--entry", run.law.entry, "--json"]
    said = json.loads(CliRunner().invoke(app, ["recommend", str(run.folder), *asked]).stdout)
    assert (found.lr, found.lr_low, found.lr_high) == (said["lr"], said["lr_low"], said["lr_high"])
    assert found.weak[0].startswith("SIMULATED")
    assert found.lr_by_role == {}
    with pytest.raises(ll.InputError, match="needs the sizes of the model"):
        found.factor(0)


def test_a_frame_is_read_as_its_file() -> None:
    read = load_runs(TABLE)
    frame = pd.read_csv(TABLE)
    renamed = (frame.rename(columns={"lr": "rate"}), {"lr": "rate"})
    for given, columns in ((frame, {}), renamed, (frame.astype(object), {})):
        found = load_runs(given, columns)
        pd.testing.assert_frame_equal(found.frame.drop(columns="row"), read.frame.drop(columns="row"))
        assert list(found.frame["row"]) == list(range(len(frame)))


def test_a_missing_loss_of_a_frame_is_a_run_that_diverged_and_a_bad_row_is_named() -> None:
    frame = pd.read_csv(TABLE)
    diverged = frame["loss"].isna()
    assert not diverged[0]
    frame.loc[0, "loss"] = float("nan")
    assert sum(load_runs(frame).frame["loss"].isna()) == sum(diverged) + 1
    frame.loc[3, "lr"] = float("nan")
    with pytest.raises(ll.InputError, match="the DataFrame: row 3: column lr: '' is not a number"):
        ll.fit(frame)


def test_the_page_of_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block of docs/python.md but that on other machines, in order; a known law replaces training."""
    transformers()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_bytes((ROOT / "tests/data/configs/Qwen3-30B-A3B.json").read_bytes())
    pd.read_csv(TABLE).query("n_params > 2e8 and tokens > 1e10").to_csv("runs.csv", index=False)
    law = "simulated: {law: {k: 50, u: 0.3, v: 0.1, w: 0.1, mup_base: 100000000, mup_tokens: 10000000000}}\n"
    design = ll.design

    def rehearsed(*given: Any, **named: Any) -> ll.Study:
        made = design(*given, **named, studies=2)
        return ll.Study(made.yaml + law, expected=made.expected)

    monkeypatch.setattr(ll, "design", rehearsed)
    scope: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL):
        if "executor=" not in block:  # a study on a law refuses other machines
            exec(block, scope)
    assert scope["run"].page == Path("runs/q/report/index.html")
    assert scope["answer"].lr > 0
    assert len(scope["optimizer"].param_groups) == len(scope["rec"].lr_by_role)


def test_an_interruption_is_raised_after_the_report_and_a_full_disk_is_one_line(
    run: ll.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial = run.results.model_copy(update={"complete": False, "missing": ("the oracle",)})
    ends = {"interrupted": Ended(partial, interrupted=True), "stopped": Ended(None, stopped="store.sqlite: disk full")}
    monkeypatch.setattr("lrladder.benchmark.studies.runner.run_study", lambda config, out, **_: ends[out.name])
    written: list[Path] = []
    monkeypatch.setattr("lrladder.reports.pages.write_report", lambda results, folder: written.append(folder))
    with pytest.raises(KeyboardInterrupt):
        ll.run(simulated(), out=tmp_path / "interrupted")
    assert written == [tmp_path / "interrupted"]
    with pytest.raises(ll.InputError, match=r"stopped: store\.sqlite: disk full; what was measured is kept"):
        ll.run(simulated(), out=tmp_path / "stopped")
    assert len(written) == 1
