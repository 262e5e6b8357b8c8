"""Weights & Biases: a run in DIR/wandb. Offline unless WANDB_MODE says otherwise, so no trial waits for a login."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lrladder.benchmark.lab.loggers.logger import VALIDATION, VERDICT, label
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial


class Wandb:
    title = "Weights & Biases"

    @staticmethod
    def load() -> None:
        """Import the package."""
        import wandb  # noqa: F401

    @staticmethod
    def prepare(folder: Path) -> None:
        """Nothing is slow here."""

    def __init__(self, folder: Path, trial: Trial) -> None:
        import wandb

        options: dict[str, Any] = {
            "project": os.environ.get("WANDB_PROJECT", "lr-ladder"),
            "mode": os.environ.get("WANDB_MODE", "offline"),
            "dir": str(folder),
            "group": folder.resolve().name,
            "name": label(trial),
            "config": trial.model_dump(mode="json"),
            "reinit": "create_new",  # a coordinator of a cluster has several trials at a time
        }
        self._run: Any = wandb.init(**options)
        self._run.define_metric("*", step_metric="tokens")  # W&B's own step cannot go back, but branches do
        self.address = self._run.url or _inside(Path(self._run.dir), folder)

    def row(self, values: Mapping[str, float], tokens: int) -> None:
        self._run.log({**values, "tokens": tokens})

    def finish(self, measurements: Sequence[TrialMeasurement]) -> None:
        for m in measurements:
            self._run.summary[f"{VERDICT}/{m.horizon}"] = m.verdict
            self._run.summary[f"{VALIDATION}/{m.horizon}"] = m.loss

    def close(self) -> None:
        self._run.finish()


def _inside(files: Path, folder: Path) -> str | None:
    """The path of a run in the folder of the study; None if it is elsewhere."""
    run, study = files.parent.resolve(), folder.resolve()
    return run.relative_to(study).as_posix() if run.is_relative_to(study) else None
