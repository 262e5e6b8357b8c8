"""What trains trials: one interface for every kind of executor. `studies/executors.py` lists the kinds."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial

SAVE_SECONDS = 25.0  # for a busy worker to save its run; schedulers kill a job 30 s after SIGTERM

Log = Callable[[dict[str, object]], None]
Runner = Callable[[Trial, Log], list[TrialMeasurement]]
Say = Callable[[str], None]
More = Callable[[], Sequence[Trial]]


@dataclass(frozen=True)
class Fault:
    """A trial that failed because of the program or the machine. A divergence is not a fault."""

    message: str


Outcome = list[TrialMeasurement] | Fault


class Waiting(BaseException):
    """Runs have no result yet. Like Ctrl-C it passes through paradigms, which may handle any Exception."""


def no_more() -> Sequence[Trial]:
    """For a caller that has named all of its trials."""
    return ()


class Executor(Protocol):
    """Trains trials. It knows nothing of studies and paradigms, and stores nothing."""

    def run(self, trials: Sequence[Trial], more: More = no_more) -> Iterator[tuple[Trial, Outcome]]:
        """Train the trials, and yield each with its outcome when it ends.

        `more` is called whenever the caller has taken outcomes, and may be called while trials train. It returns trials
        to train besides.
        """
        ...

    def close(self) -> None:
        """End all training. Runs in progress are saved first."""
        ...
