"""TensorBoard: event files in DIR/tensorboard/<trial>."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lrladder.benchmark.lab.loggers.logger import VALIDATION, VERDICT, label
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial


class TensorBoard:
    title = "TensorBoard"

    @staticmethod
    def load() -> None:
        """Import the package."""
        import torch.utils.tensorboard  # noqa: F401

    @staticmethod
    def prepare(folder: Path) -> None:
        """Nothing is slow here."""

    def __init__(self, folder: Path, trial: Trial) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.address = f"tensorboard/{label(trial)}"
        self._writer: Any = SummaryWriter(str(folder / self.address))
        self._writer.add_text("trial", trial.model_dump_json())

    def row(self, values: Mapping[str, float], tokens: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, tokens)

    def finish(self, measurements: Sequence[TrialMeasurement]) -> None:
        for m in measurements:
            self._writer.add_text(f"{VERDICT}/{m.horizon}", f"{m.verdict} {m.message}".strip())
            if m.loss is not None:
                self._writer.add_scalar(VALIDATION, m.loss, m.horizon)

    def close(self) -> None:
        self._writer.close()
