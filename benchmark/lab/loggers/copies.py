"""Copies the log of a trial to all chosen loggers. What is wrong with a tracker is said once, and costs no trial."""

import bisect
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from lrladder.benchmark.lab.loggers import line as lines
from lrladder.benchmark.lab.loggers.choice import LOGGERS, chosen
from lrladder.benchmark.lab.loggers.line import Line, Use
from lrladder.benchmark.lab.loggers.logger import Logger
from lrladder.benchmark.lab.loggers.places import note_place
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial

LEFT_OUT = ("step", "tokens")  # columns of a row that are its position, not a value
REST = 600.0  # seconds for which a process leaves a tracker alone after a fault; assumption: few are mended sooner

Faults = Mapping[str, str]  # a sentence by the name of the logger

_resting: dict[str, float] = {}  # until when, by the name of the logger


class Copies:
    """All chosen loggers of one trial. One that fails is not used again; the trial's own log has everything."""

    def __init__(self, folder: Path, trial: Trial, names: Sequence[str]) -> None:
        self._trial = trial
        self._tokens = self._branch = 0
        usable = [name for name in names if _resting.get(name, 0.0) <= time.monotonic()]
        for name in usable:
            with suppress(Exception):  # the line meets the same fault, and says it
                LOGGERS[name].load()
        self._lines = {name: Line(partial(_made, name, folder, trial)) for name in usable}

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
        """Log the results of the trial."""
        self._each(lambda logger: logger.finish(measurements))

    def close(self) -> Faults:
        """Close all loggers, and wait a bounded time for them. Returns what is wrong with them."""
        until = time.monotonic() + lines.PATIENCE
        for line in self._lines.values():
            line.end()
        for line in self._lines.values():
            line.join(until)
        faults = {name: line.fault for name, line in self._lines.items() if line.fault}
        _resting.update(dict.fromkeys(faults, time.monotonic() + REST))
        return {name: _sentence(name, fault) for name, fault in faults.items()}

    def _horizon(self, tokens: int) -> int:
        """The horizon of a row at `tokens`. If the tokens go back, or pass a horizon, a later branch has begun."""
        horizons = self._trial.horizons
        self._branch = max(self._branch + (tokens <= self._tokens and tokens > 0), bisect.bisect(horizons, tokens))
        self._branch, self._tokens = min(self._branch, len(horizons) - 1), tokens
        return horizons[self._branch]

    def _each(self, use: Use) -> None:
        for line in self._lines.values():
            line.put(use)


def _made(name: str, folder: Path, trial: Trial) -> Logger:
    logger = LOGGERS[name](folder, trial)
    if logger.address:
        note_place(folder, trial.id, name, logger.address)
    return logger


def _sentence(name: str, fault: str) -> str:
    return (
        f"{LOGGERS[name].title}: some logs were not copied there ({fault}); the runs go on, and trials/ has all of "
        "their logs"
    )


class Said:
    """Says what is wrong with a logger, once for each."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._names = say, set[str]()

    def __call__(self, faults: Faults) -> None:
        for name in sorted(faults.keys() - self._names):
            self._names.add(name)
            self._say(faults[name])


@contextmanager
def copies(folder: Path, trial: Trial, faults: MutableMapping[str, str]) -> Iterator[Copies]:
    """The chosen loggers of a trial. They are closed at its end, even if it fails; `faults` gets what went wrong."""
    made = Copies(folder, trial, chosen())
    try:
        yield made
    finally:
        faults.update(made.close())
