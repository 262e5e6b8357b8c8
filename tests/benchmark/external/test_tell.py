"""What `tell` takes in, what it refuses in one line, and that a kill at any write loses and doubles nothing."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from lrladder import ask, tell
from lrladder.benchmark.cli import app
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.external.answers import COLUMNS, Answers
from lrladder.benchmark.lab.register import Told
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.lab.stored_trials import read_trials
from lrladder.benchmark.lab.trial_log import TrialLog
from lrladder.benchmark.own_runs.columns import parse_columns
from lrladder.benchmark.studies.regret.kind import REGRET
from lrladder.benchmark.studies.session import write_config
from lrladder.benchmark.studies.stored import load_results
from tests.benchmark.external.studies import begin, config_of, row_of


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("begun") / "study"
    begin(folder, config_of("mutransfer"))
    return folder


@pytest.fixture(scope="module")
def rows(begun: Path) -> list[dict[str, object]]:
    """What a trainer tells of all runs that the study wants first."""
    return [row_of(job) for job in ask(begun)]


@pytest.fixture
def study(begun: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(begun, tmp_path / "study"))


def told(folder: Path) -> list[dict[str, Any]]:
    path = folder / "told.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


BAD: dict[str, tuple[dict[str, object], str]] = {
    "never asked": ({"name": "p99-0123456789-1"}, r"row 3: never|never asked for: p99-0123456789-1 \(row 3\)"),
    "no name": ({"name": ""}, r"never asked for: no name \(row 3\)"),
    "not a number": ({"loss": "2,3,4 nats"}, "row 3: .*loss '2,3,4 nats' is no loss in nats per token"),
    "negative": ({"loss": -1.0}, "row 3: .*is no loss"),
    "status": ({"status": "fine"}, "row 3: .*status 'fine' is not known"),
    "seconds": ({"seconds": "soon"}, "row 3: .*seconds 'soon' is no number"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_one_bad_row_and_nothing_is_taken_in(
    study: Path, rows: list[dict[str, object]], change: Mapping[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        tell(study, [*rows[:2], {**rows[2], **change}])
    assert told(study) == []


def test_a_frame_is_taken_in_as_rows_and_a_missing_loss_needs_a_status(
    study: Path, rows: list[dict[str, object]]
) -> None:
    frame = pd.DataFrame([{"run": row["name"], "loss": float(str(row["loss"]))} for row in rows[:2]])
    assert tell(study, frame, columns={"name": "run"}).finished == 2
    assert [one["loss"] for one in told(study)] == [row["loss"] for row in rows[:2]]
    unknown = pd.DataFrame([{"name": rows[2]["name"], "loss": float("nan")}])
    with pytest.raises(InputError, match="row 1: its loss is NaN, which in a DataFrame says nothing; add a column"):
        tell(study, unknown)
    assert tell(study, unknown.assign(status="running")).not_over == 1
    assert tell(study, unknown.assign(status="diverged")).diverged == 1
    with pytest.raises(InputError, match="columns run: there is no such column; use one of name, loss"):
        tell(study, frame, columns={"run": "name"})


def test_unknown_rows_can_be_left_out_whatever_they_say(study: Path, rows: list[dict[str, object]]) -> None:
    taken = tell(study, [{"name": "baseline", "loss": "n/a", "status": "odd"}, rows[0]], ignore_unknown=True)
    assert (taken.ignored, taken.finished) == (1, 1)


def test_repeating_changes_nothing_and_another_value_is_refused_with_both(
    study: Path, rows: list[dict[str, object]]
) -> None:
    rows = rows[:2]
    assert tell(study, rows).finished == 2
    before = told(study)
    assert tell(study, rows).known == 2
    assert told(study) == before
    with pytest.raises(InputError, match=rf"1\.5 here, but it was told as {rows[0]['loss']!r} before; replace=True"):
        tell(study, [{**rows[0], "loss": 1.5}])
    assert told(study) == before
    with pytest.raises(InputError, match=r"two results for it, 1\.5 here and 1\.25 in row 1"):
        tell(study, [{**rows[0], "loss": 1.25}, {**rows[0], "loss": 1.5}], replace=True)


def test_a_replaced_value_is_used_and_the_old_one_stays_on_record(study: Path, rows: list[dict[str, object]]) -> None:
    tell(study, rows)
    old = load_results(study, REGRET)
    taken = tell(study, [{**rows[0], "loss": 9.75}], replace=True)
    assert taken.replaced == 1
    assert [row["loss"] for row in told(study) if row["name"] == rows[0]["name"]] == [rows[0]["loss"], 9.75]
    losses = {m.loss for m in load_results(study, REGRET).measurements}
    assert losses == {9.75, *(m.loss for m in old.measurements)} - {rows[0]["loss"]}
    assert losses == {m.loss for _, found in read_trials(study) for m in found}


def test_failed_runs_are_asked_again_and_never_take_a_result_back(study: Path, rows: list[dict[str, object]]) -> None:
    taken = tell(study, [{**rows[0], "status": "FAILED", "message": "node down"}, *rows[1:3]])
    assert (taken.failed, taken.finished + taken.diverged) == (1, 2)
    assert rows[0]["name"] in {job.name for job in taken.asked.jobs}
    assert tell(study, [{**rows[0], "status": "FAILED", "message": "node down"}]).known == 1
    tell(study, [{"name": rows[1]["name"], "loss": "", "status": "killed"}, rows[0]])
    assert {row["name"] for row in rows[:3]}.isdisjoint(job.name for job in ask(study))


def test_runs_that_are_not_over_are_no_results(study: Path, rows: list[dict[str, object]]) -> None:
    over = [{**rows[0], "loss": ""}, {**rows[1], "status": "running"}, {**rows[2], "loss": None}]
    taken = tell(study, over)
    assert (taken.not_over, taken.finished, taken.diverged) == (3, 0, 0)
    assert len(taken.asked.jobs) == len(rows)


WRITERS: dict[str, tuple[str, Callable[[pd.DataFrame, Path], None], str | None]] = {
    "csv": ("a.csv", lambda table, path: table.to_csv(path, index=False), None),
    "tsv": ("a.tsv", lambda table, path: table.to_csv(path, index=False, sep="\t"), None),
    "jsonl": ("a.jsonl", lambda table, path: table.to_json(path, orient="records", lines=True), None),
    "wandb": (
        "wandb.csv",
        lambda table, path: (
            table.rename(columns={"name": "Name", "status": "State", "loss": "eval/loss"})
            .assign(Runtime=7, Created="2026-11-28T10:00:00.000Z")
            .to_csv(path, index=False, quoting=1)
        ),
        "loss=eval/loss,seconds=Runtime",
    ),
    "mlflow": (
        "mlflow.csv",
        lambda table, path: (
            table.assign(status=table["status"].str.upper(), run_id="0f")
            .rename(columns={"name": "tags.mlflow.runName", "loss": "metrics.eval_loss"})
            .to_csv(path, index=False)
        ),
        "name=tags.mlflow.runName,loss=metrics.eval_loss",
    ),
}


@pytest.mark.parametrize(("name", "write", "columns"), WRITERS.values(), ids=WRITERS)
def test_files_of_every_kind_are_read_alike(
    tmp_path: Path, name: str, write: Callable[[pd.DataFrame, Path], None], columns: str | None
) -> None:
    table = pd.DataFrame(
        {"name": ["a", "b", "c"], "loss": [2.5, 3.25, 4.125], "status": ["finished", "crashed", "failed"]}
    )
    write(table, tmp_path / name)
    answers = Answers.of_file(tmp_path / name, parse_columns(columns, COLUMNS))
    found = [answers.told(row) for row in answers.rows]
    assert [(one.name, one.verdict, one.loss) for one in found if one] == [
        ("a", "finished", 2.5),
        ("b", "failed", None),
        ("c", "failed", None),
    ]
    assert (found[0] and found[0].seconds) == (7.0 if name == "wandb.csv" else None)


def test_a_missing_column_is_suggested(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("run_name,val/loss,other\na,2.5,1\n")
    with pytest.raises(InputError, match="add --columns 'name=run_name,loss=val/loss'"):
        Answers.of_file(tmp_path / "a.csv", {})


def test_a_table_of_failures_needs_no_losses(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"name": "a", "loss": null, "status": "failed"}\n')
    of_file = Answers.of_file(tmp_path / "a.jsonl", {})
    of_rows = Answers.of_rows([{"name": "a", "loss": None, "status": "failed"}], {})
    assert of_file.rows == of_rows.rows
    assert of_file.told(of_file.rows[0]) == Told("a", "failed", message="failed")


class Killed(BaseException):
    pass


def kill_at(monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
    """Raise at the nth write that is to last: of a file, of a trial's log, or to the store."""
    count = iter(range(10_000))

    def killed(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any) -> Any:
            if next(count) == nth:
                raise Killed
            return call(*args)

        return wrapped

    for owner, name in ((os, "replace"), (TrialLog, "finish"), (Store, "replace")):
        monkeypatch.setattr(owner, name, killed(getattr(owner, name)))


def state(folder: Path) -> dict[str, object]:
    """All that later calls see."""
    names = ("told.jsonl", "asked.jsonl", "results.json")
    return {
        **{name: (folder / name).read_text() for name in names},
        "trials": [(trial.id, [m.model_dump() for m in found]) for trial, found in read_trials(folder)],
    }


@pytest.fixture(scope="module")
def clean(begun: Path, rows: list[dict[str, object]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The state after the first rows were told, without a kill."""
    folder = Path(shutil.copytree(begun, tmp_path_factory.mktemp("clean") / "study"))
    tell(folder, rows)
    return state(folder)


@pytest.mark.parametrize("nth", range(9))
def test_killed_at_any_write_and_repeated_is_as_if_nothing_had_been(
    study: Path, rows: list[dict[str, object]], clean: dict[str, object], nth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        kill_at(patch, nth)
        with pytest.raises(Killed):
            tell(study, rows)
    tell(study, rows)
    assert state(study) == clean


def test_a_changed_line_of_the_register_is_refused(study: Path, rows: list[dict[str, object]]) -> None:
    tell(study, rows[:1])
    path = study / "told.jsonl"
    path.write_text(path.read_text().replace(str(rows[0]["loss"]), "2.25"))
    with pytest.raises(InputError, match=r"told\.jsonl: line 1 was changed or damaged"):
        ask(study)


def test_the_commands_say_what_to_do_next(study: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    jobs = tmp_path / "jobs.csv"
    asked = run(app, ["ask", str(study), "--out", str(jobs), "--template", "train {name}"])
    assert asked.exit_code == 0, asked.output
    assert "Wanted from your trainer: 3 runs, by mutransfer (3)" in asked.output
    table = pd.read_csv(jobs)
    assert list(table["command"]) == [f"train {name}" for name in table["name"]]
    table.assign(loss=[2.5, 2.25, float("nan")], status=["finished", "finished", "diverged"]).to_csv(jobs, index=False)
    done = run(app, ["tell", str(study), str(jobs)])
    assert done.exit_code == 0, done.output
    assert "3 results taken in; 1 of them of runs that diverged" in done.output
    assert "lrladder ask" in done.output
    again = run(app, ["tell", str(study), str(jobs)])
    assert "0 results taken in; 3 rows with results that were told before" in again.output
    status = run(app, ["status", str(study)])
    assert "2 finished, 1 diverged" in status.output


def test_a_study_that_trains_itself_is_refused(tmp_path: Path) -> None:
    write_config(config_of("mutransfer", lab={"kind": "trained"}), tmp_path)
    with pytest.raises(InputError, match="this study trains all of its runs itself"):
        ask(tmp_path)
