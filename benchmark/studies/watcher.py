"""The current state of a study, from its logs. It only reads, so it can be used while the study is running."""

import os
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from pydantic import ValidationError

from lrladder.benchmark.lab.labels import labels_of
from lrladder.benchmark.lab.measurement import Label
from lrladder.benchmark.lab.summaries import Losses
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.trial_log import LogState
from lrladder.benchmark.reading import read_text
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.benchmark.studies.counts import by_verdict
from lrladder.benchmark.studies.kinds import kind_of, load_stored_study, num_runs_of
from lrladder.benchmark.studies.logged import LogReader
from lrladder.benchmark.studies.written import Written, absent, read_written, simulated_measurements
from lrladder.paradigms.lab import Measurement

PID_BYTES = 64  # most bytes that are read of a lock file; a process id is much shorter


class Running(NamedTuple):
    """A running trial, with the step, tokens and loss that were logged last."""

    trial_id: str
    label: str
    lr: float
    seed: int
    step: int | None
    tokens: int | None
    of_tokens: int  # the longest horizon of the trial
    loss: float | None


class Best(NamedTuple):
    """The best measured LR so far at a rung and horizon, by the mean loss over seeds, without a fitted curve."""

    rung: str
    parametrization: str
    horizon: int
    lr: float
    loss: float
    n_lrs: int
    n_seeds: int
    edge: bool  # the sweep has no worse LR on one side yet
    undecayed: bool  # its runs were read before any decay; after one the best LR and the loss are others


class Sweep(NamedTuple):
    """Losses of runs that differ only in LR, seed and horizons. `recipe` tells sweeps of one label apart."""

    rung: str
    parametrization: str
    recipe: object
    losses: Mapping[int, Losses]  # by horizon


class Snapshot(NamedTuple):
    """The state of a study. `lrladder status --json` prints these fields."""

    preset: str
    planned: int | None  # number of trials; None before the study has written its config
    at_most: int | None  # the same if every sweep is extended as often as the config allows
    finished: int
    diverged: int
    failed: int
    running: tuple[Running, ...]
    best: tuple[Best, ...]
    started: float | None  # Unix time, s; None if the study is not running
    complete: bool
    missing: tuple[str, ...]  # from the results that were written last
    trained_now: int  # by the command that wrote these results
    ended: bool  # the study is not running, and its results are written
    differences: tuple[str, ...] = ()  # between the store and the logs, in words; empty while the study runs

    def to_dict(self) -> dict[str, object]:
        """The content of `--json`."""
        rows = {"running": [one._asdict() for one in self.running], "best": [one._asdict() for one in self.best]}
        return {**self._asdict(), **rows}


class Watcher:
    """Reads one folder repeatedly. Files that cannot change any more are read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._study: StudyConfig | None = None
        self._config: int | None = None  # time when the config was written, ns
        self._runs: tuple[int, int] | None = None
        self._reader = LogReader(folder)
        self._labels: dict[str, list[Label]] = {}
        self._places: dict[str, int] = {}  # of the rungs in the ladder
        if not any((folder / name).exists() for name in ("results.json", "config.yaml", ".lock")):
            raise absent(folder)

    def look(self) -> Snapshot:
        """The current state. Raises InputError if the config or results cannot be read."""
        self._read_config()
        started = _running_since(self._folder)
        logged = self._reader.read()
        running = [
            self._running(state)
            for changed, state in logged.logs.values()
            if _is_under_way(state) and started is not None and changed >= started
        ]
        trained = list(logged.sweeps)
        results, written = read_written(self._folder, with_measurements=not trained)
        simulated = [] if trained else simulated_measurements(results, self._folder)
        sweeps = list(self._sweeps(trained)) or list(_simulated_sweeps(simulated))
        counts = logged.counts if trained else by_verdict(simulated)
        failed = sum(state.fault is not None and not state.measurements for _, state in logged.logs.values())
        complete = started is None and results.complete and self._is_of_config(results, written)
        return Snapshot(
            preset=self._study.name if self._study else self._folder.name,
            planned=self._runs[0] if self._runs else None,
            at_most=self._runs[1] if self._runs else None,
            finished=counts["finished"],
            diverged=counts["diverged"],
            failed=counts["failed"] + failed,
            running=tuple(running),
            best=self._best(sweeps),
            started=None if started is None else started / 1e9,
            complete=complete,
            missing=results.missing,
            trained_now=results.trials.trained_now,
            ended=complete or (started is None and written > 0 and written >= logged.latest),
            differences=() if started is not None else logged.differences,
        )

    def _read_config(self) -> None:
        path = self._folder / "config.yaml"
        if path.exists() and (changed := path.stat().st_mtime_ns) != self._config:
            self._study = load_stored_study(self._folder)
            self._config, self._runs = changed, num_runs_of(self._study)
            self._labels.clear()
            self._places = {rung.name: place for place, rung in enumerate(self._study.rungs)}

    def _names(self, trial: Trial) -> list[Label]:
        """The labels of a trial; trials of an earlier config have none."""
        if trial.id not in self._labels and self._study is not None:
            names = kind_of(self._study).names_of(self._study, trial)
            self._labels[trial.id] = labels_of(trial, self._study, names)
        return self._labels.get(trial.id, [])

    def _sweeps(self, trained: Iterable[tuple[Trial, Mapping[int, Losses]]]) -> Iterator[Sweep]:
        for trial, losses in trained:
            for label in self._names(trial):
                yield Sweep(*label, (trial.role_lrs, trial.horizon_exponent), losses)

    def _running(self, state: LogState) -> Running:
        trial, last = state.trial, state.last or {}
        names = [str(label) for label in self._names(trial)]
        return Running(
            trial_id=trial.id,
            label=names[0] if names else f"width {trial.shape.width}, depth {trial.shape.depth}",
            lr=trial.lr,
            seed=trial.seed,
            step=_count(last.get("step")),
            tokens=_count(last.get("tokens")),
            of_tokens=max(trial.horizons),
            loss=float(loss) if isinstance(loss := last.get("loss"), int | float) else None,
        )

    def _is_of_config(self, results: Written, written: int) -> bool:
        """Whether results belong to the config, which is no longer true after `extend`.

        An older version has another digest for the same config, so the config and the times are compared too.
        """
        if self._study is None or self._config is None:
            return True
        is_same = results.config_digest == self._study.digest or self._is_study(results.config)
        return is_same or written >= self._config

    def _is_study(self, config: object) -> bool:
        try:
            return self._study is not None and type(self._study).model_validate(config) == self._study
        except ValidationError:
            return False

    def _best(self, sweeps: Iterable[Sweep]) -> tuple[Best, ...]:
        """Of parametrizations in the plan, in the order of the ladder. A tuning tries dozens more, at one LR each."""
        known = kind_of(self._study).parametrizations(self._study) if self._study else None
        planned = [sweep for sweep in sweeps if known is None or sweep.parametrization in known]
        planned.sort(key=lambda sweep: (self._places.get(sweep.rung, len(self._places)), sweep.parametrization))
        names = {sweep.parametrization for sweep in planned} if self._study else set()
        return best_lrs(
            planned, undecayed={name for name in names if self._study and not self._study.schedule_of(name).decays}
        )


def best_lrs(sweeps: Iterable[Sweep], *, undecayed: Container[str] = ()) -> tuple[Best, ...]:
    """The best LR of each rung and parametrization, at its longest measured horizon.

    Runs that differ in more than LR and seed are different sweeps. The largest one counts. Runs of the parametrizations
    in `undecayed` are read without a decay.
    """
    found: dict[tuple[str, str], dict[tuple[int, object], dict[float, dict[int, float]]]] = {}
    for sweep in sweeps:
        places = found.setdefault((sweep.rung, sweep.parametrization), {})
        for horizon, by_lr in sweep.losses.items():
            there = places.setdefault((horizon, sweep.recipe), {})
            for lr, losses in by_lr.items():
                there.setdefault(lr, {}).update(losses)
    largest = {
        where: max(((horizon, losses) for (horizon, _), losses in places.items()), key=lambda one: _size(*one))
        for where, places in found.items()
        if places
    }
    return tuple(_best(*where, *one, undecayed=where[1] in undecayed) for where, one in largest.items())


def _size(horizon: int, losses: Losses) -> tuple[int, int]:
    """By which sweeps are ordered: the horizon, then the number of runs."""
    return horizon, sum(map(len, losses.values()))


def _best(rung: str, parametrization: str, horizon: int, losses: Losses, *, undecayed: bool) -> Best:
    seeds = max(map(len, losses.values()))
    means = {lr: fmean(found.values()) for lr, found in losses.items() if len(found) == seeds}  # with all seeds
    best = min(means, key=lambda lr: means[lr])
    edge = best in (min(means), max(means))
    return Best(rung, parametrization, horizon, best, means[best], len(means), seeds, edge, undecayed)


def _simulated_sweeps(measurements: Iterable[Measurement]) -> Iterator[Sweep]:
    for m in measurements:
        if m.loss is not None:
            yield Sweep(m.rung, m.parametrization, None, {m.horizon: {m.lr: {m.seed: m.loss}}})


def _is_under_way(state: LogState) -> bool:
    return not state.measurements and state.fault is None


def _running_since(folder: Path) -> int | None:
    """Start time in ns of the process that holds the folder; None if there is none. This does not take the lock."""
    try:
        pid = int(read_text(folder / ".lock", PID_BYTES))
        if pid <= 0:  # os.kill would take it for a group of processes
            return None
        os.kill(pid, 0)
    except PermissionError:
        pass  # the process of another user is alive
    except (OSError, ValueError, OverflowError):
        return None
    return (folder / ".lock").stat().st_mtime_ns


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None
