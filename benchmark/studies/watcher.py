"""The current state of a study, from its logs. It only reads, so it can be used while the study is running."""

import os
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from lrladder.benchmark import upgrade
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.measurement import Label
from lrladder.benchmark.lab.trained import labels_of
from lrladder.benchmark.lab.trial_log import LogState, read_state
from lrladder.benchmark.reading import RESULTS_BYTES, parse_json, read_text, why
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.benchmark.studies.counts import TrialCounts, count_trials
from lrladder.benchmark.studies.kinds import KINDS, kind_of, load_stored_study, plan_of
from lrladder.paradigms.lab import Measurement

PID_BYTES = 64  # ample for a number


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


class Snapshot(NamedTuple):
    preset: str
    planned: int | None  # number of trials; None before the study has written its config
    at_most: int | None
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
        self._done: dict[Path, LogState] = {}
        self._labels: dict[str, list[Label]] = {}
        if not any((folder / name).exists() for name in ("results.json", "config.yaml", ".lock")):
            raise InputError(
                f"{folder / 'results.json'} does not exist; run `lrladder run PRESET --out {folder}` first"
            )

    def look(self) -> Snapshot:
        """The current state. Raises InputError if the config or results cannot be read."""
        self._read_config()
        started = _running_since(self._folder)
        logs = self._logs()
        states = {path: state for path, (_, state) in logs.items() if state is not None}
        running = [
            self._running(states[path])
            for path, (changed, _) in logs.items()
            if path in states and _is_under_way(states[path]) and started is not None and changed >= started
        ]
        results, written = _results(self._folder)
        trained = [m for state in states.values() for m in state.measurements]
        simulated = [] if trained else _measured(results, self._folder)
        measured = [m for state in states.values() for m in self._labelled(state)] or simulated
        counts = count_trials(trained or simulated)
        failed = sum(state.fault is not None and not state.measurements for state in states.values())
        complete = started is None and results.complete and self._is_of_config(results, written)
        latest = max((changed for changed, _ in logs.values()), default=0)
        return Snapshot(
            preset=self._study.name if self._study else self._folder.name,
            planned=self._runs[0] if self._runs else None,
            at_most=self._runs[1] if self._runs else None,
            finished=counts.finished,
            diverged=counts.diverged,
            failed=counts.failed + failed,
            running=tuple(running),
            best=self._best(measured, states.values()),
            started=None if started is None else started / 1e9,
            complete=complete,
            missing=results.missing,
            trained_now=results.trials.trained_now,
            ended=complete or (started is None and written > 0 and written >= latest),
        )

    def _read_config(self) -> None:
        path = self._folder / "config.yaml"
        if path.exists() and (changed := path.stat().st_mtime_ns) != self._config:
            self._study = load_stored_study(self._folder)
            plan = plan_of(self._study)
            self._config, self._runs = changed, (plan.planned.runs, plan.maximum.runs)
            self._labels.clear()

    def _logs(self) -> dict[Path, tuple[int, LogState | None]]:
        """For each log, the time of its last change in ns, and its content."""
        found: dict[Path, tuple[int, LogState | None]] = {}
        for path in sorted((self._folder / "trials").glob("*.jsonl")):
            state = self._done.get(path) or read_state(path)
            if state is not None and state.measurements:
                self._done[path] = state
            found[path] = (path.stat().st_mtime_ns, state)
        return found

    def _names(self, state: LogState) -> list[Label]:
        """The labels of a trial; trials of an earlier config have none."""
        key = state.trial.id
        if key not in self._labels and self._study is not None:
            names = kind_of(self._study).names_of(self._study, state.trial)
            self._labels[key] = labels_of(state.trial, self._study, names)
        return self._labels.get(key, [])

    def _labelled(self, state: LogState) -> Iterable[Measurement]:
        for label in self._names(state):
            for m in state.measurements:
                yield m.labelled(label)

    def _running(self, state: LogState) -> Running:
        trial, last = state.trial, state.last or {}
        names = [str(label) for label in self._names(state)]
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

    def _is_of_config(self, results: "Written", written: int) -> bool:
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

    def _place(self, m: Measurement) -> tuple[int, str]:
        """Sort key: the order of the ladder."""
        names = [rung.name for rung in self._study.rungs] if self._study else []
        return (names.index(m.rung) if m.rung in names else len(names), m.parametrization)

    def _swept(self, measured: Iterable[Measurement]) -> list[Measurement]:
        """Of parametrizations that the study's plan has; a tuned recipe tries dozens of others at one LR each."""
        known = kind_of(self._study).parametrizations(self._study) if self._study else None
        return [m for m in measured if known is None or m.parametrization in known]

    def _best(self, measured: Iterable[Measurement], states: Iterable[LogState]) -> tuple[Best, ...]:
        swept = sorted(self._swept(measured), key=self._place)
        names = {m.parametrization for m in swept} if self._study else set()
        undecayed = {name for name in names if self._study and not self._study.schedule_of(name).decays}
        return best_lrs(swept, self._recipes(states), undecayed=undecayed)

    def _recipes(self, states: Iterable[LogState]) -> dict[str, object]:
        return {m.trial_id: (s.trial.role_lrs, s.trial.horizon_exponent) for s in states for m in s.measurements}


def best_lrs(
    measured: Iterable[Measurement], recipes: Mapping[str, object], *, undecayed: Container[str] = ()
) -> tuple[Best, ...]:
    """The best LR of each rung and parametrization, at its longest measured horizon.

    Runs that differ in more than LR and seed (in `recipes`, by trial id) are different sweeps. The largest one counts.
    Runs of the parametrizations in `undecayed` are read without a decay.
    """
    sweeps: dict[tuple[str, str], dict[tuple[int, object], list[Measurement]]] = {}
    for m in measured:
        if m.loss is not None:
            place = sweeps.setdefault((m.rung, m.parametrization), {})
            place.setdefault((m.horizon, recipes.get(m.trial_id)), []).append(m)
    largest = (max(found.values(), key=lambda runs: (runs[0].horizon, len(runs))) for found in sweeps.values())
    return tuple(_best(runs, undecayed=runs[0].parametrization in undecayed) for runs in largest)


def _best(runs: Sequence[Measurement], *, undecayed: bool) -> Best:
    losses: dict[float, dict[int, float]] = {}
    for m in runs:
        losses.setdefault(m.lr, {})[m.seed] = m.loss or 0.0
    seeds = max(map(len, losses.values()))
    means = {lr: fmean(found.values()) for lr, found in losses.items() if len(found) == seeds}  # with all seeds
    lr = min(means, key=lambda lr: means[lr])
    first = runs[0]
    edge = lr in (min(means), max(means))
    return Best(first.rung, first.parametrization, first.horizon, lr, means[lr], len(means), seeds, edge, undecayed)


def _is_under_way(state: LogState) -> bool:
    return not state.measurements and state.fault is None


def _running_since(folder: Path) -> int | None:
    """Start time in ns of the process that holds the folder; None if there is none. This does not take the lock."""
    try:
        pid = int(read_text(folder / ".lock", PID_BYTES))
        if pid <= 0:  # kill would take it for a group
            return None
        os.kill(pid, 0)
    except PermissionError:
        pass  # the process of another user is alive
    except (OSError, ValueError, OverflowError):
        return None
    return (folder / ".lock").stat().st_mtime_ns


class Written(BaseModel):
    """The part of results.json that is read here."""

    complete: bool = False
    missing: tuple[str, ...] = ("results.json: not written yet",)
    trials: TrialCounts = TrialCounts()
    config_digest: str = ""
    config: Any = None
    measurements: tuple[dict[str, Any], ...] = ()  # read only where there are no logs


def _results(folder: Path) -> tuple[Written, int]:
    """results.json of any kind, and the time it was written in ns, 0 if there is none yet. Raises InputError."""
    path = folder / "results.json"
    try:
        data = parse_json(read_text(path, RESULTS_BYTES))
        data = upgrade.results(data) if isinstance(data, dict) else {}
        if data.get("schema") not in {kind.schema for kind in KINDS.values()}:
            raise ValueError("not of a study")
        return Written.model_validate(data), path.stat().st_mtime_ns
    except FileNotFoundError:
        return Written(), 0
    except (AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as that of a study ({why(error)}); `lrladder run` again writes it from the store"
        ) from error


def _measured(results: Written, folder: Path) -> list[Measurement]:
    """The measurements of a simulated study, which has no logs. Raises InputError."""
    try:
        return [Measurement.model_validate(m) for m in results.measurements]
    except ValueError as error:
        raise InputError(f"{folder / 'results.json'}: measurements cannot be read ({why(error)})") from error


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None
