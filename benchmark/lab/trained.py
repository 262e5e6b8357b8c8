"""The lab that trains. Requests become trials; stored trials are looked up, and workers train the others."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Literal

from lrladder.benchmark.lab.executor import Executor, Fault, Outcome
from lrladder.benchmark.lab.measurement import Label, TrialMeasurement
from lrladder.benchmark.lab.pool import Pool, Stage
from lrladder.benchmark.lab.progress import Progress
from lrladder.benchmark.lab.resolve import Setup, planned_flops, resolve
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.lab.trial import Trial
from lrladder.paradigms.lab import Measurement, Request


class TrainedLab:
    """Implements `paradigms.lab.Lab`. `trained_now` and `failed` count the trials of this process."""

    def __init__(
        self,
        setup: Setup,
        corpus_digest: str,
        store: Store,
        executor: Executor,
        progress: Progress,
        *,
        precision: Literal["fp32", "bf16"],
    ) -> None:
        self._setup, self._corpus_digest, self._precision = setup, corpus_digest, precision
        self._store, self._progress = store, progress
        self._pool = Pool(executor, self._end)
        self._asked: dict[str, list[Label]] = {}  # by trial id: all labels under which it was asked for
        self._charged: dict[str, dict[str, float]] = {}  # payer -> trial id -> FLOPs
        self.trained_now = 0
        self.trained_tokens = self.planned_tokens = 0  # planned minus trained: saved by stored trunks
        self.failed: dict[str, list[TrialMeasurement]] = {}
        self.seen: dict[tuple[str, str, str, int], Measurement] = {}  # all so far, even of an interrupted call

    def measure(self, requests: Sequence[Request], *, payer: str) -> list[list[Measurement]]:
        trials = [self._resolve(request) for request in requests]
        bill = self._charged.setdefault(payer, {})
        bill.update({trial.id: trial.flops for parts in trials for trial in parts})
        labels: dict[str, list[Label]] = {}
        for parts, request in zip(trials, requests, strict=True):
            for trial in parts:
                labels.setdefault(trial.id, []).append(Label.of(request))
        found = self._obtain([trial for parts in trials for trial in parts], labels, payer)
        return [
            [m.labelled(Label.of(request)) for trial in parts for m in found[trial.id]]
            for parts, request in zip(trials, requests, strict=True)
        ]

    def meanwhile(self, call: Callable[[], object]) -> None:
        """Have something done once, by this thread, while the first trials train."""
        self._pool.meanwhile.append(call)

    def run_stages(self, stages: Sequence[Stage]) -> None:
        """Run stages at the same time."""
        self._progress.begin([stage.payer for stage in stages])
        self._pool.run(partial(self._run_stage, stage) for stage in stages)

    def _run_stage(self, stage: Stage) -> None:
        stage.run()
        self._progress.end(stage.payer)

    def cost_flops(self, payer: str) -> float:
        return sum(self._charged.get(payer, {}).values())

    @property
    def seconds(self) -> dict[str, float]:
        """Wall time of all runs that each payer is charged for, whenever they were trained."""
        of_trial = {m.trial_id: m.seconds for m in self.seen.values()}
        return {payer: sum(of_trial.get(trial, 0.0) for trial in bill) for payer, bill in self._charged.items()}

    def flops(self, request: Request) -> float:
        return planned_flops(request, self._setup)

    def _resolve(self, request: Request) -> tuple[Trial, ...]:
        return resolve(request, self._setup, corpus_digest=self._corpus_digest, precision=self._precision)

    def _obtain(
        self, trials: Iterable[Trial], labels: Mapping[str, list[Label]], payer: str
    ) -> dict[str, list[TrialMeasurement]]:
        """Measurements by trial id. Each distinct trial is trained at most once and is stored when it ends."""
        distinct = {trial.id: trial for trial in trials}
        stored = {key: self._store.get(trial) for key, trial in distinct.items()}
        found = {key: measurements for key, measurements in stored.items() if measurements is not None}
        for key, measurements in found.items():
            self._see(labels[key], measurements)
        items = {key: (payer, labels[key][0].parametrization) for key in distinct}
        todo = [trial for key, trial in distinct.items() if key not in found]
        new = [trial for trial in todo if trial.id not in self._pool]
        self._progress.skip([(items[key], distinct[key]) for key in distinct if key in found or key in self._pool])
        self._progress.add([(items[trial.id], trial) for trial in new])
        for trial in todo:
            self._asked.setdefault(trial.id, []).extend(labels[trial.id])
        return found | self._pool.train(todo)

    def _end(self, trial: Trial, outcome: Outcome) -> list[TrialMeasurement]:
        """Store the outcome of a trial, and show it. Returns what was measured."""
        measurements, labels = self._keep(trial, outcome), self._asked.pop(trial.id)
        self._see(labels, measurements)
        self._progress.done(trial, str(labels[0]), measurements)
        return measurements

    def _see(self, labels: Iterable[Label], measurements: Sequence[TrialMeasurement]) -> None:
        for label in labels:
            self.seen.update({(*label, m.trial_id, m.horizon): m.labelled(label) for m in measurements})

    def _keep(self, trial: Trial, outcome: Outcome) -> list[TrialMeasurement]:
        if isinstance(outcome, Fault):
            faults = [
                TrialMeasurement.of(trial, horizon, verdict="failed", message=outcome.message)
                for horizon in trial.horizons
            ]
            self.failed[trial.id] = faults
            return faults
        self._store.put(trial, outcome)
        self.trained_now += 1
        self.trained_tokens += outcome[0].trained_tokens
        self.planned_tokens += trial.tokens
        return outcome
