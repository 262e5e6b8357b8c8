"""The lab that trains: requests become trials, stored ones are looked up, the rest go to the workers."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, Protocol

from benchmark.config import StudyConfig
from benchmark.lab.executors import Fault, Outcome
from benchmark.lab.progress import Progress
from benchmark.lab.store import Store
from benchmark.lab.trial import Trial, resolve
from paradigms.base import Measurement, Request


class Executor(Protocol):
    def run(self, trials: Sequence[Trial]) -> Iterator[tuple[Trial, Outcome]]: ...


class TrainedLab:
    """Implements `paradigms.base.Lab`. `trained_now` and `failed` say what this process did."""

    def __init__(
        self,
        config: StudyConfig,
        corpus_digest: str,
        store: Store,
        executor: Executor,
        progress: Progress,
        *,
        precision: Literal["fp32", "bf16"],
    ) -> None:
        self._config, self._corpus_digest, self._precision = config, corpus_digest, precision
        self._store, self._executor, self._progress = store, executor, progress
        self._charged: dict[str, dict[str, float]] = {}  # payer -> trial id -> FLOPs
        self.trained_now = 0
        self.failed: dict[str, list[Measurement]] = {}
        self.seen: dict[tuple[str, int], Measurement] = {}  # all measured so far, also of a call that was interrupted

    def measure(self, requests: Sequence[Request], *, payer: str) -> list[list[Measurement]]:
        trials = [self._resolve(request) for request in requests]
        bill = self._charged.setdefault(payer, {})
        bill.update({trial.id: trial.flops for trial in trials})
        found = self._obtain(trials, {t.id: request.rung for t, request in zip(trials, requests, strict=True)})
        return [
            [m.model_copy(update={"rung": request.rung}) for m in found[trial.id]]
            for trial, request in zip(trials, requests, strict=True)
        ]

    def cost_flops(self, payer: str) -> float:
        return sum(self._charged.get(payer, {}).values())

    def _resolve(self, request: Request) -> Trial:
        return resolve(request, self._config, corpus_digest=self._corpus_digest, precision=self._precision)

    def _obtain(self, trials: Iterable[Trial], rungs: dict[str, str]) -> dict[str, list[Measurement]]:
        """Measurements by trial id; each distinct trial is trained at most once and stored as it completes."""
        distinct = {trial.id: trial for trial in trials}
        stored = {key: self._store.get(trial) for key, trial in distinct.items()}
        found = {key: measurements for key, measurements in stored.items() if measurements is not None}
        for key, measurements in found.items():
            self._see(rungs[key], measurements)
        todo = [trial for key, trial in distinct.items() if key not in found]
        self._progress.add(todo)
        for trial, outcome in self._executor.run(todo):
            found[trial.id] = measurements = self._keep(trial, outcome)
            self._see(rungs[trial.id], measurements)
            self._progress.done(trial, rungs[trial.id], measurements)
        return found

    def _see(self, rung: str, measurements: Iterable[Measurement]) -> None:
        self.seen.update({(m.trial_id, m.horizon): m.model_copy(update={"rung": rung}) for m in measurements})

    def _keep(self, trial: Trial, outcome: Outcome) -> list[Measurement]:
        if isinstance(outcome, Fault):
            self.failed[trial.id] = failed = [_failure(trial, horizon, outcome) for horizon in trial.horizons]
            return failed
        self._store.put(trial, outcome)
        self.trained_now += 1
        return outcome


def _failure(trial: Trial, horizon: int, fault: Fault) -> Measurement:
    return Measurement(
        trial_id=trial.id,
        rung="",
        parametrization=trial.parametrization,
        lr=trial.lr,
        seed=trial.seed,
        horizon=horizon,
        verdict="failed",
        flops=trial.flops,
        message=fault.message,
    )
