"""Stages of a study that run at the same time. While one waits for its runs, the others go on.

A stage is ordinary code that asks the lab for runs and waits for them. Each is a greenlet: it stops where it waits, and
goes on from there when its runs have ended. Only one of them runs at a time, so stages need no locks.
"""

from collections.abc import Callable, Iterable, Sequence
from contextvars import copy_context
from typing import NamedTuple, Protocol, runtime_checkable

from greenlet import getcurrent, greenlet

from lrladder.benchmark.lab.executor import Executor, Outcome, Waiting
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial
from lrladder.paradigms.lab import Lab


class Stage(NamedTuple):
    """A part of a study that depends on no other part. All of its runs are charged to `payer`."""

    payer: str
    run: Callable[[], None]


Found = dict[str, list[TrialMeasurement]]  # by the id of the trial
Keep = Callable[[Trial, Outcome], list[TrialMeasurement]]  # stores an outcome, and says what was measured


@runtime_checkable
class RunsStages(Protocol):
    """A lab whose runs take time, so that it runs the stages of a study at the same time."""

    def run_stages(self, stages: Sequence[Stage]) -> None:
        """Run all stages."""
        ...


def run_stages(lab: Lab, stages: Sequence[Stage]) -> None:
    """Run stages: at the same time if the lab can, and else in turn."""
    if isinstance(lab, RunsStages):
        lab.run_stages(stages)
        return
    for stage in stages:
        stage.run()


class Pool:
    """Trains the trials of all stages with one executor. Each outcome goes to `keep` as soon as it is there."""

    def __init__(self, executor: Executor, keep: Keep) -> None:
        self._executor, self._keep = executor, keep
        self.meanwhile: list[Callable[[], object]] = []  # called once, while the first trials train
        self._new: dict[str, tuple[Trial, str]] = {}  # by id, with the run id: not handed to the executor yet
        self._training: dict[str, str] = {}  # ids and run ids
        self._runs: set[str] = set()  # run ids of what is training
        self._is_open = False  # whether stages run
        self._waiting: dict[greenlet, tuple[set[str], Found]] = {}  # ids of trials that have not ended; and the others

    def __contains__(self, trial_id: str) -> bool:
        """Whether a stage waits for this trial."""
        return trial_id in self._new or trial_id in self._training

    def run(self, stages: Iterable[Callable[[], None]]) -> None:
        """Run all stages. What one of them raises ends them all."""
        started = [greenlet(stage) for stage in stages]
        self._is_open = True
        try:
            for stage in started:
                stage.gr_context = copy_context()
                stage.switch()
            while self._new:
                self._train()
        finally:
            self._is_open = False
            for unfinished in (self._new, self._training, self._runs, self._waiting):
                unfinished.clear()
            for stage in started:
                stage.throw()  # ends it where it waits; nothing if it has ended

    def train(self, trials: Sequence[Trial]) -> Found:
        """What trials measured, when all have ended. The stage that asks waits, and so does a caller without stages.

        Raises Waiting if nothing can train them.
        """
        if not trials:
            return {}
        if not self._is_open:
            alone: Found = {}
            self.run([lambda: alone.update(self.train(trials))])
            return alone
        here = getcurrent()
        self._new |= {trial.id: (trial, trial.run_id) for trial in trials if trial.id not in self}
        self._waiting[here] = {trial.id for trial in trials}, {}
        assert here.parent is not None  # it is a stage of `run`
        found: Found = here.parent.switch()
        return found

    def _train(self) -> None:
        """Train until no stage waits for anything."""
        try:
            for trial, outcome in self._executor.run(self._next(), self._next):
                self._runs.remove(self._training.pop(trial.id))
                self._end(trial, self._keep(trial, outcome))
        except Waiting:
            self._training.clear()
            self._runs.clear()
            for stage in list(self._waiting):
                del self._waiting[stage]
                stage.throw(Waiting())

    def _next(self) -> list[Trial]:
        """New trials to train. Those of one run write the same files and are trained one by one, the shortest first."""
        if self._training:
            while self.meanwhile:
                self.meanwhile.pop()()
        found = []
        for trial, run in sorted(self._new.values(), key=lambda new: new[0].tokens):
            if run not in self._runs:
                self._runs.add(run)
                self._training[trial.id] = run
                found.append(trial)
                del self._new[trial.id]
        return found

    def _end(self, trial: Trial, measured: list[TrialMeasurement]) -> None:
        for stage, (missing, found) in list(self._waiting.items()):
            if trial.id in missing:
                missing.remove(trial.id)
                found[trial.id] = measured
            if not missing:
                del self._waiting[stage]
                stage.switch(found)
