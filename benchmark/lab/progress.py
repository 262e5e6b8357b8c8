"""Progress of a study: on a terminal a bar with the remaining time, elsewhere plain lines."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich import progress as bars
from rich.console import Console

from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial


class Progress:
    """Counts the trials and FLOPs that this process trains.

    `total_flops` is that of the plan. Extensions of a sweep are added to it, and trials in the store are subtracted.
    """

    def __init__(self, console: Console, *, total_flops: float) -> None:
        self._console, self._planned_flops = console, total_flops
        self._started = time.monotonic()
        self._trials = self._num_done = 0
        self._asked_flops = self._stored_flops = self._done_flops = 0.0
        self._seen: set[str] = set()
        columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), bars.TextColumn("{task.fields[left]}"))
        self._bar = bars.Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("starting", total=total_flops, left="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def stage(self, name: str) -> None:
        self._bar.update(self._task, description=name)
        if not self._console.is_terminal:
            self.say(f"-- {name}")

    def add(self, trials: Sequence[Trial]) -> None:
        """Add trials that will be trained next."""
        self._trials += len(trials)
        self._asked_flops += sum(trial.flops for trial in trials)
        self._seen.update(trial.id for trial in trials)

    def skip(self, trials: Sequence[Trial]) -> None:
        """Add trials that the store has. Trials that this process trained are in it too, and are not added twice."""
        new = [trial for trial in trials if trial.id not in self._seen]
        self._stored_flops += sum(trial.flops for trial in new)
        self._seen.update(trial.id for trial in new)

    @property
    def _total_flops(self) -> float:
        return max(self._planned_flops, self._asked_flops + self._stored_flops) - self._stored_flops

    def done(self, trial: Trial, label: str, measurements: Sequence[TrialMeasurement]) -> None:
        self._num_done += 1
        self._done_flops += trial.flops
        left = self._left()
        self._bar.update(self._task, completed=self._done_flops, total=self._total_flops, left=left)
        head = f"[{self._num_done}/{self._trials}] {label} lr={trial.lr:.4g} seed={trial.seed}"
        seconds = measurements[0].seconds
        self.say(f"{head}: {', '.join(_describe(m) for m in measurements)} ({seconds:.0f} s){left and ', ' + left}")

    def _left(self) -> str:
        elapsed = time.monotonic() - self._started
        seconds = elapsed * (self._total_flops - self._done_flops) / self._done_flops
        return f"about {seconds / 60:.0f} min left" if seconds > 90 else f"about {seconds:.0f} s left"

    def say(self, text: str) -> None:
        """Print a line, above the bar if there is one."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def _describe(measurement: TrialMeasurement) -> str:
    tokens = f"{measurement.horizon:,} tokens"
    if measurement.verdict == "finished":
        return f"{tokens} loss {measurement.loss:.4f}"
    return f"{tokens} {measurement.verdict.upper()}: {measurement.message}"
