"""Optional copies of the trial logs: TensorBoard and Weights & Biases.

LRLADDER_LOG or `run --log` chooses them for the whole process. No config names them: they change no trial and no id.
"""

import bisect
import importlib.util
import os
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial

VARIABLE = "LRLADDER_LOG"  # comma-separated names; worker processes inherit it
NAMES = ("tensorboard", "wandb")
LEFT_OUT = ("step", "tokens")  # columns of a row that are its position, not a value


class Logger(Protocol):
    """A copy of one trial's log."""

    def row(self, values: Mapping[str, float], tokens: int) -> None:
        """Write the named values at a number of tokens."""
        ...

    def finish(self, measurements: Sequence[TrialMeasurement]) -> None:
        """Write the results of the trial."""
        ...

    def close(self) -> None:
        """Close the files, also if the trial failed."""
        ...


def choose(names: Sequence[str]) -> None:
    """Use these loggers in this process and in the processes that it starts."""
    os.environ[VARIABLE] = ",".join(names)


def chosen() -> tuple[str, ...]:
    """The names of the loggers for this process.

    Raises InputError for an unknown name, or if the package of a logger is not installed.
    """
    names = tuple(dict.fromkeys(name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()))
    for name in names:
        if name not in NAMES:
            raise InputError(f"--log (or {VARIABLE}): {name!r} is not a logger; there are {', '.join(NAMES)}")
        if importlib.util.find_spec(name) is None:
            raise InputError(
                f"--log {name}: the package is not installed: pip install -c constraints.txt -e '.[{name}]'"
            )
    return names


class TensorBoard:
    """Event files in DIR/tensorboard/<trial>."""

    def __init__(self, folder: Path, trial: Trial) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder / "tensorboard" / label(trial)))
        self._writer.add_text("trial", trial.model_dump_json())

    def row(self, values: Mapping[str, float], tokens: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, tokens)

    def finish(self, measurements: Sequence[TrialMeasurement]) -> None:
        for m in measurements:
            self._writer.add_text(f"verdict/{m.horizon}", f"{m.verdict} {m.message}".strip())
            if m.loss is not None:
                self._writer.add_scalar("validation loss", m.loss, m.horizon)

    def close(self) -> None:
        self._writer.close()


class Wandb:
    """A W&B run in DIR/wandb. Offline unless WANDB_MODE says otherwise, so no trial waits for a login."""

    def __init__(self, folder: Path, trial: Trial) -> None:
        import wandb

        options: dict[str, Any] = {
            "project": os.environ.get("WANDB_PROJECT", "lr-ladder"),
            "mode": os.environ.get("WANDB_MODE", "offline"),
            "dir": str(folder),
            "group": folder.resolve().name,
            "name": label(trial),
            "config": trial.model_dump(mode="json"),
        }
        self._run: Any = wandb.init(**options)
        self._run.define_metric("*", step_metric="tokens")  # W&B's own step cannot go back, but branches do

    def row(self, values: Mapping[str, float], tokens: int) -> None:
        self._run.log({**values, "tokens": tokens})

    def finish(self, measurements: Sequence[TrialMeasurement]) -> None:
        for m in measurements:
            self._run.summary[f"verdict/{m.horizon}"] = m.verdict
            self._run.summary[f"validation loss/{m.horizon}"] = m.loss

    def close(self) -> None:
        self._run.finish()


_MAKE: dict[str, Callable[[Path, Trial], Logger]] = {"tensorboard": TensorBoard, "wandb": Wandb}


def label(trial: Trial) -> str:
    """A readable name. It ends with the id of the trial, which makes it unique."""
    return f"w{trial.shape.width}-d{trial.shape.depth}-lr{trial.lr:.4g}-seed{trial.seed}-{trial.id}"


class Copies:
    """All chosen loggers of one trial. A logger that fails is not used again; the trial's own log has everything."""

    def __init__(self, folder: Path, trial: Trial, names: Sequence[str]) -> None:
        self._trial, self._loggers = trial, list[Logger]()
        self._tokens = self._branch = 0
        for name in names:
            self._guarded(lambda make: self._loggers.append(make(folder, trial)), _MAKE[name])

    def row(self, row: Mapping[str, object]) -> None:
        """Log a row. The name of each value contains the horizon of its branch, as a trial may have several."""
        tokens = row.get("tokens")
        if not isinstance(tokens, int):
            return
        horizon = self._horizon(tokens)
        known = {k: float(v) for k, v in row.items() if k not in LEFT_OUT and isinstance(v, int | float)}
        values = {f"{name}/{horizon}": value for name, value in known.items()}
        self._each(lambda logger: logger.row(values, tokens))

    def finish(self, measurements: Sequence[TrialMeasurement]) -> None:
        self._each(lambda logger: logger.finish(measurements))

    def close(self) -> None:
        self._each(lambda logger: logger.close())

    def _horizon(self, tokens: int) -> int:
        """The horizon of a row at `tokens`. If the tokens go back, or pass a horizon, a later branch has begun."""
        horizons = self._trial.horizons
        self._branch = max(self._branch + (tokens <= self._tokens and tokens > 0), bisect.bisect(horizons, tokens))
        self._branch, self._tokens = min(self._branch, len(horizons) - 1), tokens
        return horizons[self._branch]

    def _each(self, use: Callable[[Logger], None]) -> None:
        self._loggers = [logger for logger in self._loggers if self._guarded(use, logger)]

    def _guarded(self, use: Callable[[Any], None], of: object) -> bool:
        try:
            use(of)
        except Exception:  # a copy must never cost a measurement
            traceback.print_exc()
            return False
        return True


@contextmanager
def copies(folder: Path, trial: Trial) -> Iterator[Copies]:
    """The chosen loggers of a trial. They are closed at its end, even if it fails."""
    made = Copies(folder, trial, chosen())
    try:
        yield made
    finally:
        made.close()
