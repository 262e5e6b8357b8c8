"""A whole study in this process in a second: stand-ins for the corpus and for the workers."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from lrladder.benchmark.cli import main
from lrladder.benchmark.lab.executor import More, Outcome, no_more
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.trial_log import TrialLog
from lrladder.benchmark.studies import session
from lrladder.benchmark.training import local
from tests.benchmark.lab.fake_runner import fake_measurements
from tests.benchmark.lab.inline import until_no_more
from tests.benchmark.trials import tiny_corpus


class InProcess:
    """Stands in for the workers. `trained` has the ids of all trials, in their order."""

    trained: list[str]

    def __init__(self, folder: Path, *arguments: object, **options: object) -> None:
        self._folder = folder

    def run(self, trials: Sequence[Trial], more: More = no_more) -> Iterator[tuple[Trial, Outcome]]:
        for trial in until_no_more(trials, more):
            self.trained.append(trial.id)
            TrialLog(self._folder, trial).finish(fake_measurements(trial))
            yield trial, fake_measurements(trial)

    def close(self) -> None:
        pass


def stand_in(monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[str]:
    """Train in this process from now on. Returns the list to which the ids of trained trials are added."""
    corpus = tiny_corpus(folder / "corpus", tokens=400_000)
    monkeypatch.setattr(session, "prepare", lambda *arguments, **options: corpus)
    monkeypatch.setattr(local, "LocalExecutor", InProcess)
    trained: list[str] = []
    monkeypatch.setattr(InProcess, "trained", trained, raising=False)
    return trained


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """Run lrladder in this process; returns its exit code."""
    monkeypatch.setattr("sys.argv", ["lrladder", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code
