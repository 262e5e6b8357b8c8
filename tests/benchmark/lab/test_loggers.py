"""Optional loggers copy a trial's log. Whatever is wrong with them changes no measurement and is said once."""

import os
import sys
import threading
import time
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.loggers import choice, copies, line
from lrladder.benchmark.lab.loggers.copies import Said
from lrladder.benchmark.lab.loggers.logger import label
from lrladder.benchmark.lab.loggers.mlflow import _page
from lrladder.benchmark.lab.loggers.places import FILE, link, read_places
from lrladder.benchmark.lab.workers import LocalExecutor
from tests.benchmark.lab.fake_runner import fake_measurements, start
from tests.benchmark.trials import BATCH, tiny_trial

ROW = {"step": 4, "tokens": 4 * BATCH, "lr": 0.1, "loss": 5.5}


class _FakeWandb(ModuleType):
    """Keeps what it is told; the last run is `run`."""

    def __init__(self, *, breaks: bool = False) -> None:
        super().__init__("wandb")
        self.inits, self.gate = 0, threading.Event()
        self.gate.set()
        self.breaks, self.options, self.url = breaks, dict[str, Any](), None

    def init(self, **options: Any) -> SimpleNamespace:
        self.options, self.inits = options, self.inits + 1
        self.gate.wait()
        self.rows: list[dict[str, float]] = []
        self.closed = 0
        self.run = SimpleNamespace(
            summary={},
            log=self._log,
            finish=self._finish,
            define_metric=lambda *_, **__: None,
            url=self.url,
            dir=f"{options['dir']}/wandb/run/files",
        )
        return self.run

    def _log(self, row: dict[str, float]) -> None:
        if self.breaks:
            raise ConnectionError("planted")
        self.rows.append(row)

    def _finish(self) -> None:
        self.closed += 1


@pytest.fixture(autouse=True)
def _nothing_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "_resting", {})


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> _FakeWandb:
    made = _FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", made)
    for name in ("WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(choice.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setenv(choice.VARIABLE, "wandb")
    return made


def test_nothing_is_chosen_without_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(choice.VARIABLE, raising=False)
    assert choice.chosen() == ()
    with copies.copies(tmp_path, tiny_trial(), {}) as copied:
        copied.row(ROW)
        copied.finish(fake_measurements(tiny_trial()))
    assert list(tmp_path.iterdir()) == []


def test_wandb_gets_rows_by_horizon_results_and_the_specification(tmp_path: Path, wandb: _FakeWandb) -> None:
    trial = tiny_trial()
    with copies.copies(tmp_path, trial, {}) as copied:
        copied.row(ROW)
        copied.row({"continued_from_tokens": 3})
        copied.finish(fake_measurements(trial))
    first, last = trial.horizons
    assert wandb.rows == [{f"lr/{first}": 0.1, f"loss/{first}": 5.5, "tokens": 4 * BATCH}]
    assert wandb.run.summary[f"validation loss/{last}"] == fake_measurements(trial)[-1].loss
    assert wandb.run.summary[f"verdict/{first}"] == "finished"
    assert wandb.options["config"] == trial.model_dump(mode="json")
    assert (wandb.options["dir"], wandb.options["mode"], wandb.closed) == (str(tmp_path), "offline", 1)
    assert trial.id in wandb.options["name"]
    assert wandb.options["reinit"] == "create_new"  # a coordinator of a cluster has several runs at a time


def test_wandb_mode_is_the_users(tmp_path: Path, wandb: _FakeWandb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with copies.copies(tmp_path, tiny_trial(), {}):
        pass
    assert wandb.options["mode"] == "disabled"


def test_branches_of_a_trunk_are_curves_of_their_own(tmp_path: Path, wandb: _FakeWandb) -> None:
    trial = tiny_trial(horizons=(10 * BATCH, 20 * BATCH, 40 * BATCH))
    steps = (0, 6, 9, 8, 15, 19, 16, 25, 39)  # trunk to 8, decay to 10; trunk to 16, decay to 20; to 40
    with copies.copies(tmp_path, trial, {}) as copied:
        for step in steps:
            copied.row({"step": step, "tokens": step * BATCH, "loss": 1.0})
    curves: dict[str, list[float]] = {}
    for row in wandb.rows:
        [name] = set(row) - {"tokens"}
        curves.setdefault(name, []).append(row["tokens"] / BATCH)
    assert curves == {
        f"loss/{10 * BATCH}": [0, 6, 9],
        f"loss/{20 * BATCH}": [8, 15, 19],
        f"loss/{40 * BATCH}": [16, 25, 39],
    }


def test_a_logger_that_breaks_is_left_out_and_costs_nothing(
    tmp_path: Path, wandb: _FakeWandb, capsys: pytest.CaptureFixture[str]
) -> None:
    wandb.breaks = True
    faults: dict[str, str] = {}
    with copies.copies(tmp_path, tiny_trial(), faults) as copied:
        copied.row(ROW)
        copied.row(ROW)
        copied.finish(fake_measurements(tiny_trial()))
    assert wandb.run.summary == {}
    assert capsys.readouterr().err.count("ConnectionError: planted") == 1
    assert faults["wandb"].startswith("Weights & Biases: some logs were not copied there (ConnectionError: planted)")


def test_a_tracker_that_hangs_is_not_waited_for(
    tmp_path: Path, wandb: _FakeWandb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "PATIENCE", 0.01)
    wandb.gate.clear()
    faults: dict[str, str] = {}
    with copies.copies(tmp_path, tiny_trial(), faults) as copied:
        copied.row(ROW)
    assert "did not answer within 0.01 s" in faults["wandb"]
    wandb.gate.set()  # the thread ends


def test_a_tracker_that_is_far_behind_is_left_out(
    tmp_path: Path, wandb: _FakeWandb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "MOST_WAITING", 2)
    wandb.gate.clear()
    faults: dict[str, str] = {}
    with copies.copies(tmp_path, tiny_trial(), faults) as copied:
        for _ in range(3):
            copied.row(ROW)
        wandb.gate.set()
    assert "2 rows behind" in faults["wandb"]


def test_after_a_fault_a_tracker_is_left_alone_for_a_while(
    tmp_path: Path, wandb: _FakeWandb, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb.breaks = True
    for until, inits in ((None, 1), (None, 1), (time.monotonic() - 1, 2)):
        if until is not None:
            monkeypatch.setitem(copies._resting, "wandb", until)
        with copies.copies(tmp_path, tiny_trial(), {}) as copied:
            copied.row(ROW)
        assert wandb.inits == inits


def test_a_fault_is_said_once_for_each_logger() -> None:
    heard: list[str] = []
    said = Said(heard.append)
    for faults in ({"wandb": "W"}, {}, {"mlflow": "M", "wandb": "W, again"}):
        said(faults)
    assert heard == ["W", "M"]


def test_trackers_that_are_down_cost_no_trial_and_one_line_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real workers, with packages of these names that fail when they are imported."""
    down = tmp_path / "packages"
    for name in ("wandb", "mlflow"):
        (down / name).mkdir(parents=True)
        (down / name / "__init__.py").write_text("raise ConnectionError('planted')\n")
    monkeypatch.syspath_prepend(str(down))
    monkeypatch.setenv(choice.VARIABLE, "wandb,mlflow")
    heard: list[str] = []
    trials = [tiny_trial(seed=seed) for seed in range(3)]
    executor = LocalExecutor(tmp_path, partial(start, tmp_path), workers=2, say=heard.append)
    found = {trial.id: outcome for trial, outcome in executor.run(trials)}
    executor.close()
    assert found == {trial.id: fake_measurements(trial) for trial in trials}
    assert sorted(sentence.partition(":")[0] for sentence in heard) == ["MLflow", "Weights & Biases"]
    assert read_places(tmp_path) == {}


def test_a_folder_that_tensorboard_cannot_write_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ModuleType("torch.utils.tensorboard")
    made.SummaryWriter = lambda folder: Path(folder).mkdir(parents=True)  # type: ignore[attr-defined]  # as it does
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", made)
    monkeypatch.setattr(choice.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setenv(choice.VARIABLE, "tensorboard")
    (tmp_path / "tensorboard").write_text("a file")
    faults: dict[str, str] = {}
    with copies.copies(tmp_path, tiny_trial(), faults) as copied:
        copied.row(ROW)
    assert "NotADirectoryError" in faults["tensorboard"] or "FileExistsError" in faults["tensorboard"]


def test_a_fault_of_the_trial_closes_its_loggers(tmp_path: Path, wandb: _FakeWandb) -> None:
    with pytest.raises(RuntimeError), copies.copies(tmp_path, tiny_trial(), {}):
        raise RuntimeError
    assert wandb.closed == 1


def test_missing_package_and_unknown_name_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv(choice.VARIABLE, "tensorboard")
    with pytest.raises(InputError, match=r"\.\[tensorboard\]"):
        choice.chosen()
    monkeypatch.setenv(choice.VARIABLE, "clearml")
    with pytest.raises(InputError, match="'clearml' is not a logger"):
        choice.chosen()


def test_tensorboard_files_of_real_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv(choice.VARIABLE, "tensorboard")
    trial = tiny_trial()
    executor = LocalExecutor(tmp_path, partial(start, tmp_path), workers=1)
    [(_, outcome)] = executor.run([trial])
    executor.close()
    assert outcome == fake_measurements(trial)
    events = EventAccumulator(str(tmp_path / "tensorboard" / label(trial))).Reload()
    found = {event.step: event.value for event in events.Scalars("validation loss")}
    assert found == {m.horizon: pytest.approx(m.loss, rel=1e-6) for m in fake_measurements(trial)}


@pytest.mark.parametrize("url", [None, "https://wandb.ai/me/lr-ladder/runs/1"])
def test_the_place_of_a_trial_is_noted(tmp_path: Path, wandb: _FakeWandb, url: str | None) -> None:
    wandb.url = url
    for _ in range(2):
        with copies.copies(tmp_path, tiny_trial(), {}):
            pass
    with (tmp_path / FILE).open("a") as file:
        file.write('not JSON\n[]\n{"trial": 1}\n')
    assert read_places(tmp_path) == {tiny_trial().id: {"wandb": url or "wandb/run"}}


@pytest.mark.parametrize(
    ("address", "href"),
    [
        ("https://wandb.ai/me/runs/1", "https://wandb.ai/me/runs/1"),
        ("http://127.0.0.1:5000/#/experiments/1/runs/a", "http://127.0.0.1:5000/#/experiments/1/runs/a"),
        ("tensorboard/w64-d3-lr0.01-seed0-ab", "../tensorboard/w64-d3-lr0.01-seed0-ab"),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("file:///etc/passwd", None),
        ("/etc/passwd", None),
        ("//example.org/x", None),
        ("../../etc/passwd", None),
        ("tensorboard/../../x", None),
        ("https://", None),
        ("https://[x", None),
        ("", None),
    ],
)
def test_only_pages_and_files_of_the_study_are_linked(address: str, href: str | None) -> None:
    assert link(address) == href


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv(choice.VARIABLE, "mlflow")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    return pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed")


def test_mlflow_has_the_names_of_the_others_in_a_database_of_the_study(tmp_path: Path, mlflow: Any) -> None:
    trial, out = tiny_trial(), tmp_path / "study"
    out.mkdir()
    first, last = trial.horizons
    faults: dict[str, str] = {}
    choice.prepare(out)  # takes seconds
    for _ in range(2):  # a trial that is tried again is another run
        with copies.copies(out, trial, faults) as copied:
            copied.row(ROW)
            copied.finish(fake_measurements(trial))
    assert not faults
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{out / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("study")
    assert experiment.artifact_location == (out / "mlflow" / "artifacts").as_uri()
    run, _ = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == (label(trial), "FINISHED")
    losses = [m.loss for m in fake_measurements(trial)]
    ends = {f"validation loss/{horizon}": loss for horizon, loss in zip((first, last), losses, strict=True)}
    assert run.data.metrics == pytest.approx({f"lr/{first}": 0.1, f"loss/{first}": 5.5, **ends})
    assert [point.step for point in client.get_metric_history(run.info.run_id, f"loss/{first}")] == [4 * BATCH]
    assert run.data.tags[f"verdict/{last}"] == "finished"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert read_places(out) == {}  # a database has no address


def test_an_mlflow_server_that_is_not_there_costs_nothing(
    tmp_path: Path, mlflow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    faults: dict[str, str] = {}
    with copies.copies(tmp_path, tiny_trial(), faults) as copied:
        copied.row(ROW)
    assert faults["mlflow"].startswith("MLflow: some logs were not copied there")


def test_the_page_of_a_run_on_a_server_has_no_password() -> None:
    assert _page("https://me:secret@host:5000/x/?a=1", "3", "ab") == "https://host:5000/x/#/experiments/3/runs/ab"
    assert _page("sqlite:////tmp/x.db", "3", "ab") is None
    assert _page("", "3", "ab") is None
