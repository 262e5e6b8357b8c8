"""A trained study whose runs end in any order, or are interrupted: the order decides nothing."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from lrladder.benchmark.lab.executor import More, Outcome, no_more
from lrladder.benchmark.lab.progress import Progress
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.lab.trained import TrainedLab
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.studies.regret.config import load_config
from lrladder.benchmark.studies.regret.kind import REGRET
from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.benchmark.studies.results import Found, in_order
from tests.benchmark.lab.fake_runner import fake_measurements

SMOKE = load_config("smoke")


class _Shuffled:
    """Trials end in random order. After `ends` of them comes Ctrl-C."""

    def __init__(self, seed: int, ends: int) -> None:
        self._random, self.left, self.trained = random.Random(seed), ends, 0

    def run(self, trials: Sequence[Trial], more: More = no_more) -> Iterator[tuple[Trial, Outcome]]:
        waiting = list(trials)
        while waiting:
            if self.trained == self.left:
                raise KeyboardInterrupt
            self.trained += 1
            trial = waiting.pop(self._random.randrange(len(waiting)))
            yield trial, fake_measurements(trial)
            waiting += more()


def _results(folder: Path, executor: _Shuffled) -> RegretResults:
    folder.mkdir(exist_ok=True)
    store = Store.open(folder, config_digest=SMOKE.digest, corpus_digest="d")
    lab = TrainedLab(SMOKE, "d", store, executor, Progress(Console(quiet=True)), precision="fp32")
    study = REGRET.start(SMOKE, lab, on_stage=lambda stage: None)
    try:
        study.run()
    except KeyboardInterrupt:
        assert executor.trained == executor.left
    return study.results(Found(in_order(lab.seen.values())))


def test_results_do_not_depend_on_the_order_in_which_runs_end(tmp_path: Path) -> None:
    first, *others = (_results(tmp_path / str(seed), _Shuffled(seed, 1000)) for seed in range(3))
    assert first.complete and [other.to_json() for other in others] == [first.to_json()] * 2


@pytest.mark.parametrize("ends", [0, 1, 5, 14, 40])
def test_a_study_that_is_interrupted_anywhere_has_results_and_goes_on_to_the_same_end(
    ends: int, tmp_path: Path
) -> None:
    assert not _results(tmp_path / "cut", _Shuffled(ends, ends)).complete
    rest = _Shuffled(ends + 1, 1000)
    whole = _Shuffled(0, 1000)
    assert _results(tmp_path / "cut", rest).to_json() == _results(tmp_path / "whole", whole).to_json()
    assert rest.trained + ends == whole.trained
