"""Progress of a study: on a terminal a bar with the remaining time, elsewhere plain lines."""

from collections.abc import Collection, Iterable, Sequence
from types import TracebackType
from typing import Self

from rich import progress as bars
from rich.console import Console

from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.time_left import Foreseen, Item, TimeLeft, Work
from lrladder.benchmark.lab.trial import Trial


class Progress:
    """Counts the trials of this process, and says how long the others will take. `planned` is the work of the plan."""

    def __init__(self, console: Console, *, planned: Iterable[Work] = (), workers: int = 1) -> None:
        self._console = console
        self._trials = self._num_done = 0
        self._time_left = TimeLeft(planned, workers=workers)
        columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), bars.TextColumn("{task.fields[left]}"))
        self._bar = bars.Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("starting", total=None, left="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def stage(self, name: str) -> None:
        """Show the name of the stage that begins."""
        self._bar.update(self._task, description=name)
        if not self._console.is_terminal:
            self.say(f"-- {name}")

    def begin(self, payers: Collection[str]) -> None:
        """Note the stages that run at the same time from now on, by the payer of each."""
        self._time_left.begin(payers)

    def end(self, payer: str) -> None:
        """Note that one of them has ended."""
        self._time_left.end(payer)

    def add(self, trials: Sequence[tuple[Item, Trial]]) -> None:
        """Add trials that will be trained next."""
        self._trials += len(trials)
        self._time_left.ask(_foreseen(trials), stored=False)

    def skip(self, trials: Sequence[tuple[Item, Trial]]) -> None:
        """Note trials that are stored already, among them those that this process trained for another stage."""
        self._time_left.ask(_foreseen(trials), stored=True)

    def done(self, trial: Trial, label: str, measurements: Sequence[TrialMeasurement]) -> None:
        """Note a trial that has ended, and print its results in a line."""
        self._num_done += 1
        first = measurements[0]
        share, seconds = first.trained_tokens / trial.tokens, first.seconds - first.setup_seconds
        self._time_left.finish(Foreseen.of(trial), share=share, seconds=seconds * trial.training.devices)
        left, done = self._left(), self._time_left.done
        self._bar.update(self._task, completed=done, total=done + self._time_left.todo, left=left)
        head = f"[{self._num_done}/{self._trials}] {label} lr={trial.lr:.4g} seed={trial.seed}"
        readings = ", ".join(_describe(m) for m in measurements)
        self.say(f"{head}: {readings} ({first.seconds:.0f} s){left and ', ' + left}")

    def _left(self) -> str:
        seconds = self._time_left.seconds
        if seconds is None:
            return ""
        return f"about {seconds / 60:.0f} min left" if seconds > 90 else f"about {seconds:.0f} s left"

    def say(self, text: str) -> None:
        """Print a line, above the bar if there is one."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def _foreseen(trials: Iterable[tuple[Item, Trial]]) -> list[tuple[Item, Foreseen]]:
    return [(item, Foreseen.of(trial)) for item, trial in trials]


def _describe(measurement: TrialMeasurement) -> str:
    tokens = f"{measurement.horizon:,} tokens"
    if measurement.verdict == "finished":
        return f"{tokens} loss {measurement.loss:.4f}"
    return f"{tokens} {measurement.verdict.upper()}: {measurement.message}"
