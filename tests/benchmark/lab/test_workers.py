"""Workers: every trial comes back once, faults are retried, a dead worker is replaced."""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lrladder.benchmark.config.training import TrainingSettings
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.workers import Fault, LocalExecutor
from tests.benchmark.lab.fake_runner import (
    DEADLY_SEED,
    ENDLESS_SEED,
    FAULTY_SEED,
    FOLLOWING_SEED,
    RANKS,
    fake_measurements,
    start,
    start_and_tell_ranks,
)
from tests.benchmark.trials import tiny_trial


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[LocalExecutor]:
    made = LocalExecutor(tmp_path, partial(start, tmp_path), workers=2)
    yield made
    made.close()


def test_all_trials_come_back_with_their_own_results(executor: LocalExecutor) -> None:
    trials = [tiny_trial(seed=seed) for seed in range(5)]
    outcomes = {trial.id: outcome for trial, outcome in executor.run(trials)}
    assert outcomes == {trial.id: fake_measurements(trial) for trial in trials}
    again = list(executor.run([tiny_trial(seed=7)]))  # the workers are still there
    assert again[0][1] == fake_measurements(tiny_trial(seed=7))


def test_exception_is_retried_once_then_a_one_line_fault(executor: LocalExecutor, tmp_path: Path) -> None:
    trial = tiny_trial(seed=FAULTY_SEED)
    [(_, outcome)] = executor.run([trial])
    assert outcome == Fault("RuntimeError: planted fault")
    assert (tmp_path / f"ran-{trial.id}").read_text() == "xx"
    assert "planted" in "".join(path.read_text() for path in (tmp_path / "logs").iterdir())


def test_killed_worker_is_replaced_and_its_trial_gives_the_same_result(executor: LocalExecutor, tmp_path: Path) -> None:
    trials = [tiny_trial(seed=seed) for seed in (DEADLY_SEED, 1, 2)]
    outcomes = {trial.id: outcome for trial, outcome in executor.run(trials)}
    assert outcomes == {trial.id: fake_measurements(trial) for trial in trials}
    assert (tmp_path / f"ran-{trials[0].id}").read_text() == "xx"


def test_a_busy_worker_is_told_to_end_and_waited_for(executor: LocalExecutor, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "begun")
    trials = [tiny_trial(seed=seed) for seed in (ENDLESS_SEED, FOLLOWING_SEED)]
    first, _ = next(executor.run(trials))
    assert first.seed == FOLLOWING_SEED
    executor.close()
    assert (tmp_path / "saved").exists()


def test_workers_train_alone_in_a_job_of_several_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(RANKS, ("3", "1", "8"), strict=True):
        monkeypatch.setenv(name, value)
    made = LocalExecutor(tmp_path, partial(start_and_tell_ranks, tmp_path), workers=1)
    try:
        list(made.run([tiny_trial()]))
    finally:
        made.close()
    assert (tmp_path / "ranks").read_text() == "0 0 1"


def test_nothing_to_do_starts_no_worker(executor: LocalExecutor, tmp_path: Path) -> None:
    assert list(executor.run([])) == []
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(("together", "workers"), [(1, {"worker-0.log"}), (2, {"worker-0.log", "worker-1.log"})])
def test_trials_share_a_device_only_where_they_fit(together: int, workers: set[str], tmp_path: Path) -> None:
    made = LocalExecutor(
        tmp_path, partial(start, tmp_path), workers=2, devices=("0",), fits=lambda trials: len(trials) <= together
    )
    try:
        trials = [tiny_trial(seed=seed) for seed in range(4)]
        assert {trial.id for trial, _ in made.run(trials)} == {trial.id for trial in trials}
        assert {path.name for path in (tmp_path / "logs").iterdir()} == workers
    finally:
        made.close()


def test_a_large_trial_lets_smaller_ones_past_but_is_not_left_out(tmp_path: Path) -> None:
    """Two of the largest never fit together, one beside a smaller one does."""
    made_of = [tiny_trial(seed=seed, horizons=(640 * (1 + seed // 2),)) for seed in range(4)]
    horizons = {trial.id: trial for trial in made_of}
    large = {trial.id for trial in horizons.values() if trial.seed >= 2}
    made = LocalExecutor(
        tmp_path,
        partial(start, tmp_path),
        workers=2,
        devices=("0",),
        fits=lambda trials: sum(trial.id in large for trial in trials) < 2,
    )
    try:
        assert {trial.id for trial, _ in made.run(list(horizons.values()))} == set(horizons)
    finally:
        made.close()


def _on(devices: int, seed: int = 0) -> Trial:
    return tiny_trial(seed=seed, training=TrainingSettings(devices=devices))


def _rooms(tmp_path: Path, running: Sequence[tuple[Trial, tuple[str, ...]]], devices: Sequence[str]) -> LocalExecutor:
    """An executor of four workers, the first of which train `running`. No process is started."""
    made = LocalExecutor(tmp_path, partial(start, tmp_path), workers=4, devices=devices)
    busy: Any = [SimpleNamespace(trial=trial, held=held) for trial, held in running]
    made._workers[: len(busy)] = busy
    return made


def test_a_trial_on_several_cores_waits_until_so_many_workers_are_idle(tmp_path: Path) -> None:
    rooms = _rooms(tmp_path, [(_on(2), ())], [])
    assert rooms._room(1, _on(2)) == () and rooms._room(1, _on(1)) == ()
    assert rooms._room(1, _on(3)) is None
    assert _rooms(tmp_path, [(_on(4), ())], [])._room(1, _on(1)) is None


def test_a_trial_on_several_gpus_shares_none_of_them(tmp_path: Path) -> None:
    gpus = ["0", "1", "2"]
    rooms = _rooms(tmp_path, [(_on(1), ("0",))], gpus)
    assert rooms._room(1, _on(2)) == ("1", "2") and rooms._room(3, _on(1)) == ("0",)
    assert rooms._room(1, _on(3)) is None
    rooms = _rooms(tmp_path, [(_on(2), ("0", "1"))], gpus)
    assert rooms._room(1, _on(1)) is None and rooms._room(2, _on(1)) == ("2",)


def test_trials_on_one_and_on_several_workers_all_come_back(executor: LocalExecutor) -> None:
    trials = [_on(2, seed=1), _on(1, seed=2), _on(1, seed=3), _on(2, seed=4)]
    outcomes = {trial.id: outcome for trial, outcome in executor.run(trials)}
    assert outcomes == {trial.id: fake_measurements(trial) for trial in trials}
