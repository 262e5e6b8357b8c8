"""Collects the logs of a ladder's runs near their best LRs, from a study of ours or from the runs in a table."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import pandas as pd

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.labels import labels_of
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.trial_log import read_log
from lrladder.benchmark.own_runs.runs import load_runs
from lrladder.benchmark.recommend.run_log import RunLog, read_run_log
from lrladder.benchmark.recommend.tripwires import LadderLog
from lrladder.benchmark.studies.kinds import kind_of, load_stored_study

NEAR = 2.0  # runs whose LR is within this ratio of the best LR of their model are used; assumption


def ladder_of(source: Path, *, columns: Mapping[str, str] | None = None, arm: str | None = None) -> list[LadderLog]:
    """The logs in the folder of a study, or those that a table names in its column `log`. Raises InputError.

    `arm` is the label of the only arm of the study whose runs are used; None: all runs are. `columns` is for a table.
    """
    found = list(of_study(source, arm=arm) if source.is_dir() else of_table(source, columns=columns))
    if not found:
        raise InputError(
            f"{source}: there is no log of a finished run near the best LR of its model, which a band needs; "
            "name another source with --ladder"
        )
    return found


def of_table(path: Path, *, columns: Mapping[str, str] | None = None) -> Iterable[LadderLog]:
    """For each model and horizon the log of the run with the lowest loss, among the runs that name a log.

    A path in the column `log` is relative to the folder of the table. A step has the tokens in `batch_tokens`.
    """
    frame = load_runs(path, columns).frame
    named = frame[(frame["log"] != "") & frame["loss"].notna()]
    if named.empty:
        raise InputError(f"{path}: no run names its log; add a column log with the path of each run's log")
    best = named.loc[named.groupby(["family", "n_params", "n_active", "tokens"])["loss"].idxmin()]
    for run in best.to_dict("records"):
        batch = None if pd.isna(run["batch_tokens"]) else run["batch_tokens"]
        log = read_run_log(path.parent / run["log"], batch_tokens=batch)
        yield LadderLog(run["n_active"], run["tokens"], log)


def of_study(folder: Path, *, arm: str | None) -> Iterable[LadderLog]:
    """The logs of finished trials near the best LR of their model, at their longest horizon."""
    config = load_stored_study(folder)
    kind = kind_of(config)
    found: list[tuple[Trial, float, Path]] = []
    for path in sorted((folder / "trials").glob("*.jsonl")):
        trial, measurements = read_log(path) or (None, [])
        if trial is None or measurements[-1].loss is None:
            continue
        labels = [] if arm is None else labels_of(trial, config, kind.names_of(config, trial))
        if arm is None or any(label.parametrization == arm for label in labels):
            found.append((trial, measurements[-1].loss, path))
    best: dict[str, tuple[float, float]] = {}  # loss and LR by model
    for trial, loss, _ in found:
        best[_model(trial)] = min(best.get(_model(trial), (loss, trial.lr)), (loss, trial.lr))
    for trial, _, path in found:
        if 1 / NEAR <= trial.lr / best[_model(trial)][1] <= NEAR:
            with suppress(InputError):  # a short trial has no rows
                horizon = max(trial.horizons)
                yield LadderLog(trial.shape.n_active, horizon, _up_to(read_run_log(path), horizon))


def _model(trial: Trial) -> str:
    """What the trials of one LR sweep have in common: the specification without LR and seed."""
    return trial.model_dump_json(exclude={"lr", "seed"})


def _up_to(log: RunLog, tokens: float) -> RunLog:
    kept = log.tokens <= tokens
    return RunLog(log.tokens[kept], log.loss[kept], log.grad_norm[kept])
