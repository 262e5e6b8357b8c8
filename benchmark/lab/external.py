"""The lab of a study whose runs, or some of them, are trained by the user's own trainer.

A run without a result is asked for, and whoever wanted it waits. Every call runs the study again from its start, on
what is stored: paradigms depend on nothing but results, so they ask for the same runs again and then go on.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

from lrladder.benchmark.config.lab import LabConfig
from lrladder.benchmark.lab.executor import Executor, More, Outcome, Waiting, no_more
from lrladder.benchmark.lab.measurement import Label, TrialMeasurement
from lrladder.benchmark.lab.progress import Progress
from lrladder.benchmark.lab.register import Reading, Register, Told
from lrladder.benchmark.lab.resolve import Setup, resolve
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.lab.trained import TrainedLab
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.trial_log import TrialLog
from lrladder.paradigms.lab import Request

PRECISION: Literal["fp32"] = "fp32"  # in ids alone, so that they are the same on every machine
TRAINER = {"trainer": "external"}  # marks measurements of runs that were trained elsewhere


@dataclass
class Wanted:
    """A reading that has no result, and the payers that want it. `parametrization`: the name by which one asked."""

    reading: Reading
    parametrization: str
    payers: list[str] = field(default_factory=list)


class NoTrainer:
    """An executor that trains nothing. It adds the trials that it is given to `open`, by id."""

    def __init__(self, open_trials: dict[str, Trial]) -> None:
        self.open = open_trials

    def run(self, trials: Sequence[Trial], more: More = no_more) -> Iterator[tuple[Trial, Outcome]]:
        """Raises Waiting, unless there are no trials."""
        self.open.update((trial.id, trial) for trial in trials)
        if trials:
            raise Waiting
        yield from ()

    def close(self) -> None:
        """There is nothing to end."""


class ExternalLab(TrainedLab):
    """A `TrainedLab` that asks for the runs of some parts of the ladder. `wanted`: by name, what it asks for now."""

    def __init__(
        self,
        setup: Setup,
        corpus_digest: str,
        store: Store,
        executor: Executor,
        progress: Progress,
        *,
        precision: Literal["fp32", "bf16"],
        lab: LabConfig,
        register: Register,
    ) -> None:
        super().__init__(setup, corpus_digest, store, executor, progress, precision=precision)
        self._lab, self._register = lab, register
        self.wanted: dict[str, Wanted] = {}

    def _resolve(self, request: Request) -> tuple[Trial, ...]:
        if not self._is_theirs(request.rung):
            return super()._resolve(request)
        return resolve(request, self._setup, corpus_digest=self._lab.digest, precision=PRECISION)

    def _is_theirs(self, rung: str) -> bool:
        return self._lab.has(self._setup.rungs.rung(rung).part)

    def _obtain(
        self, trials: Iterable[Trial], labels: Mapping[str, list[Label]], payer: str
    ) -> dict[str, list[TrialMeasurement]]:
        """As in `TrainedLab`. Raises Waiting, after all that can be had is there, if a trial has no result."""
        distinct = {trial.id: trial for trial in trials}
        rungs = {key: labels[key][0].rung for key in distinct}
        theirs = [trial for key, trial in distinct.items() if self._is_theirs(rungs[key])]
        missing = {trial.id: trial for trial in theirs if not self._is_there(trial, rungs[trial.id])}
        self._ask({key: self._unread(trial, rungs[key]) for key, trial in missing.items()}, labels, payer)
        found = super()._obtain((trial for key, trial in distinct.items() if key not in missing), labels, payer)
        if missing:
            raise Waiting
        return found

    def _ask(self, unread: Mapping[str, list[Reading]], labels: Mapping[str, list[Label]], payer: str) -> None:
        """`unread` and `labels` are by the id of the trial."""
        self._register.ask(chain.from_iterable(unread.values()))
        for key, readings in unread.items():
            for reading in readings:
                known = self.wanted.setdefault(reading.name, Wanted(reading, labels[key][0].parametrization))
                if payer not in known.payers:
                    known.payers.append(payer)

    def _unread(self, trial: Trial, rung: str) -> list[Reading]:
        return [reading for reading in _readings(trial, rung) if not _is_read(self._register.told(reading.name))]

    def _is_there(self, trial: Trial, rung: str) -> bool:
        """Whether a trial has its result. One that was told all its readings is put into log and store first."""
        return take_in(trial, rung, self._store, self._register) or self._store.get(trial) is not None


def take_in(trial: Trial, rung: str, store: Store, register: Register) -> bool:
    """Bring log and store of a trial to what was told; False, and nothing is done, if a reading is missing."""
    told = [register.told(reading.name) for reading in _readings(trial, rung)]
    read = [one for one in told if one is not None and one.is_result]
    if len(read) < len(told):
        return False
    found = _measurements(trial, read)
    if store.get(trial) != found:
        TrialLog(store.folder, trial).finish(found)
        store.replace(trial, found)
    return True


def _measurements(trial: Trial, told: Sequence[Told]) -> list[TrialMeasurement]:
    """`seconds` of a trial are those of all its readings together."""
    seconds = sum(one.seconds or 0.0 for one in told)
    return [
        TrialMeasurement.of(
            trial,
            horizon,
            verdict=one.verdict,
            loss=one.loss,
            seconds=seconds,
            training=TRAINER,
            message=one.message,
        )
        for horizon, one in zip(trial.horizons, told, strict=True)
    ]


def _readings(trial: Trial, rung: str) -> list[Reading]:
    return [Reading(trial, rung, horizon) for horizon in trial.horizons]


def _is_read(told: Told | None) -> bool:
    return told is not None and told.is_result
