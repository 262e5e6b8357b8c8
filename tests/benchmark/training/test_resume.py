"""A run that is stopped, kept or continued gives what an uninterrupted one gives."""

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from lrladder.benchmark.config.training import TrainingSettings
from lrladder.benchmark.schedules import ScheduleConfig
from lrladder.benchmark.training import checkpoints
from lrladder.benchmark.training import run as run_module
from lrladder.benchmark.training.checkpoints import Clock
from lrladder.benchmark.training.corpus import Corpus
from lrladder.benchmark.training.loop import Loop
from lrladder.benchmark.training.train import train
from lrladder.models.rules import STANDARD
from tests.benchmark.trials import BATCH, CHANGES, no_log, outcome, tiny_corpus, tiny_trial


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return tiny_corpus(tmp_path)


TRUNKS = [
    {},
    {"training": TrainingSettings(zero_stage=1)},
    {"schedule": ScheduleConfig(warmup_tokens=128, kind="power")},
    {"schedule": ScheduleConfig(warmup_tokens=128, read="ema")},
]


@pytest.mark.parametrize("changes", TRUNKS, ids=["wsd", "zero1", "power", "ema"])
def test_a_continued_trunk_costs_only_what_is_new_and_equals_the_uninterrupted_run(
    changes: dict[str, object], corpus: Corpus, tmp_path: Path
) -> None:
    short, long = (
        tiny_trial(horizons=horizons, **changes) for horizons in ((10 * BATCH,), (10 * BATCH, 20 * BATCH, 30 * BATCH))
    )
    first = train(short, corpus, log=no_log, trunks=tmp_path, keep=True)
    later = train(long, corpus, log=no_log, trunks=tmp_path, keep=True)
    whole = train(long, corpus, log=no_log)
    assert [outcome(m) for m in later] == [outcome(m) for m in whole]
    assert first[0].trained_tokens == short.tokens and whole[0].trained_tokens == long.tokens
    assert first[0].trained_tokens + later[0].trained_tokens == whole[0].trained_tokens


def test_a_stored_trunk_beyond_a_new_horizon_is_not_used(corpus: Corpus, tmp_path: Path) -> None:
    train(tiny_trial(horizons=(30 * BATCH,)), corpus, log=no_log, trunks=tmp_path, keep=True)
    both = train(tiny_trial(), corpus, log=no_log, trunks=tmp_path, keep=True)
    assert [outcome(m) for m in both] == [outcome(m) for m in train(tiny_trial(), corpus, log=no_log)]


def test_a_diverged_trunk_is_known_to_have_diverged_later_too(corpus: Corpus, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"lr": 1e4, "rules": STANDARD}
    train(tiny_trial(**changes), corpus, log=no_log, trunks=tmp_path, keep=True)
    longer = (10 * BATCH, 20 * BATCH, 30 * BATCH)
    later = train(tiny_trial(horizons=longer, **changes), corpus, log=no_log, trunks=tmp_path, keep=True)
    assert [m.verdict for m in later] == ["diverged"] * 3
    assert later[0].trained_tokens == 0


class Killed(Exception):
    """In place of a signal."""


STOPS = {"before any branch": 5, "in the first decay": 9, "between the decays": 14, "in the last decay": 21}


@pytest.mark.parametrize("stop", STOPS.values(), ids=STOPS)
@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_a_killed_run_goes_on_from_its_checkpoint_to_the_same_numbers(
    changes: dict[str, Any], stop: int, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after any step, it trains no step twice and gives what an uninterrupted run gives, to the bit."""
    trial = tiny_trial(horizons=(10 * BATCH, 20 * BATCH)).model_copy(update=changes)
    whole = train(trial, corpus, log=no_log)
    monkeypatch.setattr(Clock, "due", lambda self: True)
    steps = iter(range(stop))
    real = Loop._step

    def until_killed(self: Loop, lr: float, *, decaying: bool) -> None:
        if next(steps, None) is None:
            raise Killed
        real(self, lr, decaying=decaying)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_step", until_killed)
        with pytest.raises(Killed):
            train(trial, corpus, log=no_log, trunks=tmp_path)
    rows: list[dict[str, object]] = []
    continued = train(trial, corpus, log=rows.append, trunks=tmp_path)
    assert any("continued_from_tokens" in row for row in rows)
    assert [outcome(m) for m in continued] == [outcome(m) for m in whole]
    assert continued[0].trained_tokens == whole[0].trained_tokens
    again = train(trial, corpus, log=no_log, trunks=tmp_path)  # killed between training and storing
    assert [outcome(m) for m in again] == [outcome(m) for m in whole]


def test_a_run_that_is_told_to_end_saves_itself_first(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = tiny_trial()
    whole = train(trial, corpus, log=no_log)
    monkeypatch.setattr(checkpoints, "WORTH_SECONDS", 0.0)
    stop = threading.Event()
    for module in (checkpoints, run_module):
        monkeypatch.setattr(module, "STOP", stop)
    real = Loop._step

    def told(self: Loop, lr: float, *, decaying: bool) -> None:
        real(self, lr, decaying=decaying)
        if self.step == 14:
            stop.set()

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_step", told)
        with pytest.raises(SystemExit):
            train(trial, corpus, log=no_log, trunks=tmp_path)
    stop.clear()
    rows: list[dict[str, object]] = []
    continued = train(trial, corpus, log=rows.append, trunks=tmp_path)
    assert {"continued_from_tokens": 14 * BATCH} in rows
    assert [outcome(m) for m in continued] == [outcome(m) for m in whole]
    assert continued[0].trained_tokens == whole[0].trained_tokens


def test_a_full_disk_stops_no_training(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Clock, "due", lambda self: True)
    monkeypatch.setattr(run_module, "save", refuse)
    rows: list[dict[str, object]] = []
    found = train(tiny_trial(), corpus, log=rows.append, trunks=tmp_path, keep=True)
    assert [outcome(m) for m in found] == [outcome(m) for m in train(tiny_trial(), corpus, log=no_log)]
    assert any("No space left" in str(row.get("note")) for row in rows)


def test_a_checkpoint_of_an_earlier_version_is_left_alone(corpus: Corpus, tmp_path: Path) -> None:
    """It has no digest, so nothing would tell a damaged one."""
    trial = tiny_trial()
    older = tmp_path / f"{trial.trunk_id}.pt"
    torch.save({"format": 3, "trunk": "{}"}, older)
    before = older.read_bytes()
    found = train(trial, corpus, log=no_log, trunks=tmp_path)
    assert found[0].trained_tokens == trial.tokens and older.read_bytes() == before
