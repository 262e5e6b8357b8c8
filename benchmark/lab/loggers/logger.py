"""What a logger is: it copies the log of one trial to a tracker of experiments, such as TensorBoard."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial

# Names at the end of a branch, the same for every tracker. Its rows have names such as `loss/H`, with its horizon H.
VALIDATION = "validation loss"
VERDICT = "verdict"


class Logger(Protocol):
    """A copy of one trial's log. It is made and used in a thread of its own."""

    title: str  # the tracker, as messages name it

    @staticmethod
    def load() -> None:
        """Import the tracker's package, which takes seconds, before the first trial of a process."""

    @staticmethod
    def prepare(folder: Path) -> None:
        """Do what is slow and needs to be done once for the folder of a study, before its first trial."""

    def __init__(self, folder: Path, trial: Trial) -> None:
        """`folder` is that of the study."""
        ...

    @property
    def address(self) -> str | None:
        """Where the copy can be seen: an http(s) address, or a path in the folder of the study. None: nowhere."""
        ...

    def row(self, values: Mapping[str, float], tokens: int) -> None:
        """Write the named values at a number of tokens."""
        ...

    def finish(self, measurements: Sequence[TrialMeasurement]) -> None:
        """Write the results of the trial."""
        ...

    def close(self) -> None:
        """Close the files, also if the trial failed."""
        ...


def label(trial: Trial) -> str:
    """A readable name. It ends with the id of the trial, which makes it unique."""
    return f"w{trial.shape.width}-d{trial.shape.depth}-lr{trial.lr:.4g}-seed{trial.seed}-{trial.id}"
