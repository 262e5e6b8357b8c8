"""Optional loggers copy a trial's log and never change or cost a measurement."""

import sys
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab import loggers
from lrladder.benchmark.lab.workers import LocalExecutor
from tests.benchmark.lab.fake_runner import fake_measurements, start
from tests.benchmark.trials import BATCH, tiny_trial

ROW = {"step": 4, "tokens": 4 * BATCH, "lr": 0.1, "loss": 5.5}


class _FakeWandb(ModuleType):
    """Keeps what it is told; the last run is `run`."""

    def __init__(self, *, breaks: bool = False) -> None:
        super().__init__("wandb")
        self.breaks, self.options = breaks, dict[str, Any]()

    def init(self, **options: Any) -> SimpleNamespace:
        self.options = options
        self.rows: list[dict[str, float]] = []
        self.closed = 0
        self.run = SimpleNamespace(summary={}, log=self._log, finish=self._finish, define_metric=lambda *_, **__: None)
        return self.run

    def _log(self, row: dict[str, float]) -> None:
        if self.breaks:
            raise ConnectionError("planted")
        self.rows.append(row)

    def _finish(self) -> None:
        self.closed += 1


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> _FakeWandb:
    made = _FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", made)
    for name in ("WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(loggers.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setenv(loggers.VARIABLE, "wandb")
    return made


def test_nothing_is_chosen_without_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(loggers.VARIABLE, raising=False)
    assert loggers.chosen() == ()
    with loggers.copies(tmp_path, tiny_trial()) as copied:
        copied.row(ROW)
        copied.finish(fake_measurements(tiny_trial()))
    assert list(tmp_path.iterdir()) == []


def test_wandb_gets_rows_by_horizon_results_and_the_specification(tmp_path: Path, wandb: _FakeWandb) -> None:
    trial = tiny_trial()
    with loggers.copies(tmp_path, trial) as copied:
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


def test_wandb_mode_is_the_users(tmp_path: Path, wandb: _FakeWandb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with loggers.copies(tmp_path, tiny_trial()):
        pass
    assert wandb.options["mode"] == "disabled"


def test_branches_of_a_trunk_are_curves_of_their_own(tmp_path: Path, wandb: _FakeWandb) -> None:
    trial = tiny_trial(horizons=(10 * BATCH, 20 * BATCH, 40 * BATCH))
    steps = (0, 6, 9, 8, 15, 19, 16, 25, 39)  # trunk to 8, decay to 10; trunk to 16, decay to 20; to 40
    with loggers.copies(tmp_path, trial) as copied:
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
    with loggers.copies(tmp_path, tiny_trial()) as copied:
        copied.row(ROW)
        copied.row(ROW)
        copied.finish(fake_measurements(tiny_trial()))
    assert wandb.run.summary == {}
    assert capsys.readouterr().err.count("ConnectionError: planted") == 1


def test_a_fault_of_the_trial_closes_its_loggers(tmp_path: Path, wandb: _FakeWandb) -> None:
    with pytest.raises(RuntimeError), loggers.copies(tmp_path, tiny_trial()):
        raise RuntimeError
    assert wandb.closed == 1


def test_missing_package_and_unknown_name_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loggers.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv(loggers.VARIABLE, "tensorboard")
    with pytest.raises(InputError, match=r"\.\[tensorboard\]"):
        loggers.chosen()
    monkeypatch.setenv(loggers.VARIABLE, "mlflow")
    with pytest.raises(InputError, match="'mlflow' is not a logger"):
        loggers.chosen()


def test_tensorboard_files_of_real_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv(loggers.VARIABLE, "tensorboard")
    trial = tiny_trial()
    executor = LocalExecutor(tmp_path, partial(start, tmp_path), workers=1)
    [(_, outcome)] = executor.run([trial])
    executor.close()
    assert outcome == fake_measurements(trial)
    events = EventAccumulator(str(tmp_path / "tensorboard" / loggers.label(trial))).Reload()
    found = {event.step: event.value for event in events.Scalars("validation loss")}
    assert found == {m.horizon: pytest.approx(m.loss, rel=1e-6) for m in fake_measurements(trial)}
