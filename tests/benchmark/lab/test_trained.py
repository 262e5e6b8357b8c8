"""The trained lab: requests to measurements, the store first, every payer charged in full."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from lrladder.benchmark.lab.executor import Fault, More, Outcome, no_more
from lrladder.benchmark.lab.progress import Progress
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.lab.trained import TrainedLab
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.studies.regret.config import load_config
from lrladder.paradigms.lab import Request
from tests.benchmark.lab.fake_runner import FAULTY_SEED, fake_measurements
from tests.benchmark.lab.inline import until_no_more

CONFIG = load_config("smoke")
RUNG = CONFIG.rungs[0]
REQUEST = Request(RUNG.name, "sp", 0.03, 0, RUNG.horizons)


class _Inline:
    """An executor in this process that counts what it trains."""

    def __init__(self) -> None:
        self.trained: list[str] = []

    def run(self, trials: Sequence[Trial], more: More = no_more) -> Iterator[tuple[Trial, Outcome]]:
        for trial in until_no_more(trials, more):
            self.trained.append(trial.id)
            yield trial, Fault("planted") if trial.seed == FAULTY_SEED else fake_measurements(trial)


def _lab(folder: Path, executor: _Inline) -> TrainedLab:
    store = Store.open(folder, config_digest="c", corpus_digest="d")
    return TrainedLab(CONFIG, "d", store, executor, Progress(Console(quiet=True)), precision="fp32")


@pytest.fixture
def executor() -> _Inline:
    return _Inline()


def test_measurements_come_in_request_order_with_rung_names(tmp_path: Path, executor: _Inline) -> None:
    requests = [REQUEST._replace(lr=lr) for lr in (0.3, 0.03, 0.1)]
    found = _lab(tmp_path, executor).measure(requests, payer="a")
    assert [run[0].lr for run in found] == [0.3, 0.03, 0.1]
    assert all([m.horizon for m in run] == list(RUNG.horizons) for run in found)
    assert {m.rung for run in found for m in run} == {RUNG.name}


def test_second_run_trains_nothing_and_pays_in_full(tmp_path: Path, executor: _Inline) -> None:
    first = _lab(tmp_path, executor)
    before = first.measure([REQUEST, REQUEST], payer="a")
    assert len(executor.trained) == 1
    again = _lab(tmp_path, executor)
    assert again.measure([REQUEST], payer="b") == before[:1]
    assert len(executor.trained) == 1 and again.trained_now == 0
    trial_flops = before[0][0].flops
    assert first.cost_flops("a") == again.cost_flops("b") == first.flops(REQUEST) == trial_flops > 0
    assert again.cost_flops("a") == 0


def test_progress_is_told_what_the_store_had(
    tmp_path: Path, executor: _Inline, monkeypatch: pytest.MonkeyPatch
) -> None:
    _lab(tmp_path, executor).measure([REQUEST], payer="a")
    skipped: list[str] = []
    monkeypatch.setattr(Progress, "skip", lambda self, trials: skipped.extend(trial.id for _, trial in trials))
    _lab(tmp_path, executor).measure([REQUEST, REQUEST._replace(lr=0.1)], payer="a")
    assert skipped == executor.trained[:1]


def test_failed_trial_is_said_and_tried_again_by_the_next_run(tmp_path: Path, executor: _Inline) -> None:
    lab = _lab(tmp_path, executor)
    [[first, *_]] = lab.measure([REQUEST._replace(seed=FAULTY_SEED)], payer="a")
    assert (first.verdict, first.message, first.loss) == ("failed", "planted", None)
    assert len(lab.failed) == 1 and lab.trained_now == 0
    _lab(tmp_path, executor).measure([REQUEST._replace(seed=FAULTY_SEED)], payer="a")
    assert len(executor.trained) == 2
