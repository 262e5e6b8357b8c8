"""Workers: every trial comes back once, faults are retried, a dead worker is replaced."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lrladder.benchmark.config.training import TrainingSettings
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab import heartbeat
from lrladder.benchmark.lab.executor import Fault
from lrladder.benchmark.lab.heartbeat import SILENCE, Pulse, allowed_silence
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.workers import Answer, LocalExecutor, _Worker
from tests.benchmark.lab.fake_runner import (
    DEADLY_SEED,
    ENDLESS_SEED,
    FAULTY_SEED,
    FOLLOWING_SEED,
    HUNG_SEED,
    RANKS,
    STOPPED_SEED,
    fake_measurements,
    start,
    start_and_tell_ranks,
)
from tests.benchmark.trials import tiny_trial
from tests.paths import ROOT


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


SCRIPT = """
import sys
from functools import partial
from pathlib import Path

from lrladder.benchmark.lab.workers import LocalExecutor
from tests.benchmark.lab.fake_runner import start
from tests.benchmark.trials import tiny_trial

executor = LocalExecutor(Path(sys.argv[1]), partial(start, Path(sys.argv[1])), workers=1)
[(_, outcome)] = executor.run([tiny_trial()])
executor.close()
print(len(outcome))
"""


def test_a_script_without_a_main_guard_trains_and_is_not_run_again_in_its_workers(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "script.py", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout == "2\n", done.stderr


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


@pytest.mark.parametrize("seed", [STOPPED_SEED, HUNG_SEED], ids=["stopped", "hung"])
def test_a_silent_worker_is_ended_and_its_trial_gives_the_same_result(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time is not waited for: the worker counts as silent as soon as it says that it will be."""
    monkeypatch.setattr(Pulse, "is_lost", lambda *_: (tmp_path / "silent").exists())
    real = _Worker.end

    def end(worker: _Worker) -> None:
        (tmp_path / "silent").unlink()
        real(worker)

    monkeypatch.setattr(_Worker, "end", end)
    said: list[str] = []
    trial = tiny_trial(seed=seed)
    made = LocalExecutor(tmp_path, partial(start, tmp_path), workers=1, silence=0.2, say=said.append)
    try:
        outcomes = list(made.run([trial]))
    finally:
        made.close()
    assert outcomes == [(trial, fake_measurements(trial))]
    assert (tmp_path / f"ran-{trial.id}").read_text() == "xx"
    fault = "worker gave no sign of life for 0.2 s and was ended; see logs/"
    notes = [f"trial {trial.id}: a planted note"] if seed == STOPPED_SEED else []
    assert said == [f"trial {trial.id}: {fault}; it is tried again", *notes]
    assert fault in (tmp_path / "trials" / f"{trial.id}.jsonl").read_text()


def test_a_result_of_an_earlier_attempt_is_refused() -> None:
    worker = object.__new__(_Worker)  # without a process
    worker.pipe, theirs = multiprocessing.Pipe()
    worker.attempt = 2
    for attempt in (1, 2):
        theirs.send(Answer(attempt, Fault(f"of attempt {attempt}")))
    assert worker.receive() is None
    assert worker.receive() == Answer(2, Fault("of attempt 2"))


def test_silence_is_the_time_without_a_beat_in_which_the_coordinator_was_awake() -> None:
    counter = multiprocessing.RawValue("Q", 0)
    pulse = Pulse(counter)
    assert not pulse.is_lost(SILENCE - 1, 10) and pulse.is_lost(1, 10)  # it starts up
    counter.value += 1
    assert not any(pulse.is_lost(6, 10) for _ in range(2))  # the first look sees the beat
    counter.value += 1
    assert not any(pulse.is_lost(6, 10) for _ in range(2))
    assert pulse.is_lost(4, 10)
    pulse.reset()  # for the next trial
    assert not pulse.is_lost(9, 10) and pulse.is_lost(1, 10)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon"])
def test_the_silence_that_is_allowed_is_a_number_of_seconds(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert allowed_silence() == SILENCE
    monkeypatch.setenv("LRLADDER_SILENCE", "2.5")
    assert allowed_silence() == 2.5
    monkeypatch.setenv("LRLADDER_SILENCE", text)
    with pytest.raises(InputError, match=r"LRLADDER_SILENCE.*seconds above 0"):
        allowed_silence()


def test_a_step_is_a_sign_of_life() -> None:
    counter = multiprocessing.RawValue("Q", 0)
    heartbeat.beat()  # of a process that is no worker
    heartbeat.use(counter)
    try:
        heartbeat.beat()
    finally:
        heartbeat.use(None)
    heartbeat.beat()
    assert counter.value == 1


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


def test_the_second_worker_begins_with_another_shape_than_the_first(tmp_path: Path) -> None:
    """Each shape is compiled before its first trial, and one worker is enough for that."""
    a, b, short = (tiny_trial(horizons=(640 * k,)) for k in (3, 2, 1))
    shapes = {a.id: "a", b.id: "b", short.id: None}
    rooms = _rooms(tmp_path, [(a, ())], [])
    rooms._prepares = lambda trial: shapes[trial.id]
    assert list(rooms._order([short, b, a, a])) == [1, 0, 3, 2]
    assert list(rooms._order([a, a])) == [1, 0]  # there is nothing else
    rooms._prepared.add("a")
    assert list(rooms._order([short, b, a, a])) == [3, 2, 1, 0]
