"""Which loggers copy the logs of trials. A new one is a file and a line here.

LRLADDER_LOG or `run --log` chooses them for the whole process. No config names them: they change no trial and no id.
"""

import importlib.util
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.loggers.logger import Logger
from lrladder.benchmark.lab.loggers.mlflow import MLflow
from lrladder.benchmark.lab.loggers.tensorboard import TensorBoard
from lrladder.benchmark.lab.loggers.wandb import Wandb

VARIABLE = "LRLADDER_LOG"  # comma-separated names; worker processes inherit it
LOGGERS: Mapping[str, type[Logger]] = {"tensorboard": TensorBoard, "wandb": Wandb, "mlflow": MLflow}  # by package


def choose(names: Sequence[str]) -> None:
    """Use these loggers in this process and in the processes that it starts."""
    os.environ[VARIABLE] = ",".join(names)


def prepare(folder: Path) -> None:
    """Let the chosen loggers make what a study needs once. What fails here is said at the first trial."""
    for name in chosen():
        with suppress(Exception):
            LOGGERS[name].prepare(folder)


def chosen() -> tuple[str, ...]:
    """The names of the loggers for this process.

    Raises InputError for an unknown name, or if the package of a logger is not installed.
    """
    names = tuple(dict.fromkeys(name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()))
    for name in names:
        if name not in LOGGERS:
            raise InputError(f"--log (or {VARIABLE}): {name!r} is not a logger; there are {', '.join(LOGGERS)}")
        if importlib.util.find_spec(name) is None:
            raise InputError(
                f"--log {name}: the package is not installed: pip install -c constraints.txt -e '.[{name}]'"
            )
    return names
