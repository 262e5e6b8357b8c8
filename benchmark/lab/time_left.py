"""Estimates how long a study still takes: from its plan, corrected by the times that its finished runs took."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from typing import NamedTuple, Self

from lrladder.benchmark.lab.throughput import cpu_flops_per_second
from lrladder.benchmark.lab.trial import Trial

Item = tuple[str, str]  # of a plan: payer and parametrization, in the order in which a study runs them
Seconds = dict[int, float]  # of one worker, by the width of the models


class Foreseen(NamedTuple):
    """One run by its id, with the width of its model and the seconds that one worker with a CPU core would take."""

    id: str
    width: int
    seconds: float

    @classmethod
    def of(cls, trial: Trial) -> Self:
        return cls(trial.id, trial.shape.width, trial.flops / cpu_flops_per_second(trial.shape.width))


class Work(NamedTuple):
    """Runs of models of one width that a plan foresees for one item, in seconds of one worker."""

    item: Item
    width: int
    seconds: float


class Runs:
    """Runs by their ids. They are also counted by kind, so that a sum over many takes no longer than one over few."""

    def __init__(self) -> None:
        self._runs: dict[str, Foreseen] = {}
        self._kinds: Counter[tuple[int, float]] = Counter()  # width and seconds

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._runs

    def put(self, run: Foreseen) -> None:
        """Add a run, in the place of one with its id."""
        self.drop(run.id)
        self._runs[run.id] = run
        self._kinds[run.width, run.seconds] += 1

    def drop(self, run_id: str) -> None:
        """Remove a run, if it is there."""
        if (run := self._runs.pop(run_id, None)) is not None:
            kind = run.width, run.seconds
            self._kinds[kind] -= 1
            if not self._kinds[kind]:
                del self._kinds[kind]

    @property
    def kinds(self) -> Collection[tuple[int, float]]:
        """Width and seconds of the runs, each pair once."""
        return self._kinds

    def by_width(self) -> Seconds:
        """The sum of the seconds, by width."""
        found: Seconds = defaultdict(float)
        for (width, seconds), count in self._kinds.items():
            found[width] += count * seconds
        return found


class TimeLeft:
    """Estimates the time to the end of a study, as soon as one run has finished.

    The plan's cost model says how runs of different models compare. Finished runs say how fast this machine is: those
    of a width for this width, and all runs for a width of which none has finished. The time before the first step of a
    run is left out, because it is mostly compilation, which is needed once per model and not once per run. Runs that
    extend a sweep are not in the plan; they are added when they are asked for. Planned runs that are stored already,
    or that an item turns out not to need, are subtracted.
    """

    def __init__(self, planned: Iterable[Work], *, workers: int) -> None:
        self._planned: dict[Item, Seconds] = {}
        for work in planned:
            self._planned.setdefault(work.item, defaultdict(float))[work.width] += work.seconds
        self._workers = workers
        self._asked: dict[Item, Runs] = defaultdict(Runs)
        self._open, self._finished = Runs(), Runs()
        self._timed: Seconds = defaultdict(float)  # foreseen seconds of what was trained
        self._real: Seconds = defaultdict(float)  # seconds that it really took
        self._at = 0  # place in the plan of the item whose runs were asked for last; those before it are over
        self._together: Counter[str] = Counter()  # stages by payer that run at the same time, whatever their places
        self._over: set[str] = set()  # payers all of whose stages have ended

    def begin(self, payers: Iterable[str]) -> None:
        """Note stages that run at the same time, by the payer of each."""
        self._together = Counter(payers)

    def end(self, payer: str) -> None:
        """Note that a stage has ended. After the last one of a payer, what it has not asked for is not needed."""
        self._together[payer] -= 1
        if not self._together[payer]:
            self._over.add(payer)

    def ask(self, runs: Iterable[tuple[Item, Foreseen]], *, stored: bool) -> None:
        """Note runs that the lab is asked for. Those that are not stored are trained next."""
        items = list(self._planned)
        for item, run in runs:
            self._asked[item].put(run)
            if item in items and item[0] not in self._together:
                self._at = items.index(item)
            if not stored and run.id not in self._finished:
                self._open.put(run)

    def finish(self, run: Foreseen, *, share: float, seconds: float) -> None:
        """Note a run that has ended after `share` of its tokens. `seconds`: from its first step on."""
        self._open.drop(run.id)
        self._finished.put(run)
        self._timed[run.width] += share * run.seconds
        self._real[run.width] += seconds if share else 0.0

    @property
    def done(self) -> float:
        """Foreseen seconds of the runs that have ended, on one worker."""
        return sum(self._finished.by_width().values())

    @property
    def todo(self) -> float:
        """Foreseen seconds of all runs that have not ended, on one worker."""
        return sum(self._todo().values())

    @property
    def seconds(self) -> float | None:
        """Wall time to the end, in seconds; None before a run has been timed."""
        if not sum(self._timed.values()):
            return None
        total = sum(seconds * self._pace(width) for width, seconds in self._todo().items())
        longest = max((seconds * self._pace(width) for width, seconds in self._open.kinds), default=0.0)
        return max(total / self._workers, longest)

    def _pace(self, width: int) -> float:
        """Real seconds / foreseen seconds of the runs of this width, or of all runs if none of this width has ended."""
        if self._timed[width]:
            return self._real[width] / self._timed[width]
        return sum(self._real.values()) / sum(self._timed.values())

    def _todo(self) -> Seconds:
        """Foreseen seconds by width: of runs that were asked for, and of those that are still to be asked for."""
        found = self._open.by_width()
        for place, ((payer, name), planned) in enumerate(self._planned.items()):
            if payer in self._over or (place < self._at and payer not in self._together):
                continue
            asked = self._asked[payer, name].by_width()
            for width, seconds in planned.items():
                found[width] += max(0.0, seconds - asked[width])
        return found
