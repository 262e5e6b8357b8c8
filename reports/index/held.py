"""What a folder holds, in one line: a study of any kind, a fit or a replay."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.own_runs.fit_file import load_fit
from lrladder.benchmark.own_runs.fit_results import SCHEMA as FIT_SCHEMA
from lrladder.benchmark.own_runs.fit_results import FitResults
from lrladder.benchmark.own_runs.replay import SCHEMA as REPLAY_SCHEMA
from lrladder.benchmark.own_runs.replay import Replay
from lrladder.benchmark.studies.drift.config import OFF
from lrladder.benchmark.studies.drift.results import AxesResults
from lrladder.benchmark.studies.drift.runner import load_axes_results
from lrladder.benchmark.studies.kinds import SCHEMAS, kind_of, schema_of
from lrladder.benchmark.studies.regret.results import SCHEMA, Results
from lrladder.benchmark.studies.regret.runner import load_results
from lrladder.benchmark.studies.schedules.results import PowerResults
from lrladder.benchmark.studies.schedules.runner import load_power_results
from lrladder.reports.drawing import paradigm_name
from lrladder.reports.fit.replay_table import summarise
from lrladder.reports.formats import millinats, short

FILES = ("results.json", "replay.json", "store.sqlite")  # one of them makes a folder ours


class Held(NamedTuple):
    """`kind` is the command or the kind of study; `complete` is None for what cannot be partial."""

    kind: str
    name: str  # preset, or the file that was fitted
    targets: str
    line: str
    complete: bool | None = None
    simulated: bool = False


def of_folder(folder: Path) -> Held:
    """Raises InputError with one line for a folder that holds nothing of ours, or something damaged."""
    if not any((folder / name).is_file() for name in FILES):
        raise InputError(f"{folder} holds no results: give the OUT of `lrladder run`, `fit` or `replay`")
    schema = schema_of(folder)
    if schema == FIT_SCHEMA:
        return of_fit(load_fit(folder))
    if schema is None and not (folder / "results.json").exists() and (folder / "replay.json").exists():
        return of_replay(load_replay(folder))
    if schema is not None and schema not in (SCHEMA, *SCHEMAS):
        raise InputError(f"{folder / 'results.json'}: schema {schema} is not one this version of lrladder reads")
    match kind_of(folder):
        case "axes":
            return of_axes(load_axes_results(folder))
        case "power":
            return of_power(load_power_results(folder))
        case "benchmark":
            return of_benchmark(load_results(folder))


def load_replay(folder: Path) -> Replay:
    """What `lrladder replay --out` wrote. Raises InputError."""
    path = folder / "replay.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict) or data.pop("schema", None) != REPLAY_SCHEMA:
            raise ValueError(f"not a {REPLAY_SCHEMA} file")
        return Replay.model_validate(data)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read; run `lrladder replay RUNS.csv --out {folder}` again") from error


def of_benchmark(results: Results) -> Held:
    winners = (f"{_place(t.rung, t.tokens)}: {_winner(t.winner)}" for t in results.targets)
    return Held(
        "benchmark",
        results.preset,
        ", ".join(dict.fromkeys(rung.name for rung in results.rungs if rung.part == "target")),
        _line(winners, "no target has been scored"),
        results.complete,
        results.lab == "simulated",
    )


def of_axes(results: AxesResults) -> Held:
    found = (f"{axis.axis} {v.name} {v.finding}" for axis in results.axes for v in axis.variants if v.name != OFF)
    return Held(
        "axes",
        results.preset,
        ", ".join(axis.axis for axis in results.axes),
        _line(found, "no axis has been swept"),
        results.complete,
    )


def of_power(results: PowerResults) -> Held:
    found = (
        f"{s.family} {s.schedule} {millinats(s.mean_regret)} millinats" for s in results.settings if s.scope == "all"
    )
    return Held(
        "power",
        results.preset,
        ", ".join(dict.fromkeys(cell.family for cell in results.cells)),
        _line(found, "no sweep has been measured", head="mean regret of one setting: "),
        results.complete,
    )


def of_fit(results: FitResults) -> Held:
    laws = (
        f"lr* by {law.size} parameters: " + ", ".join(f"{name} {e.value:+.2f}" for name, e in law.exponents.items())
        for law in results.laws
    )
    sweeps = f"{results.n_runs} runs, {sum(results.counts.values())} sweeps"
    return Held("fit", results.source, sweeps, _line(laws, "no law: no sweep has a bracketed minimum"))


def of_replay(result: Replay) -> Held:
    scored = (f"{s.name} {millinats(s.median)} millinats" for s in summarise(result) if s.n)
    return Held(
        "replay",
        f"batch: {result.protocol}",
        f"{len(result.targets)} targets",
        _line(scored, "no strategy has been scored", head="median regret: "),
    )


def _line(parts: Iterable[str], nothing: str, *, head: str = "") -> str:
    text = "; ".join(parts)
    return head + text if text else nothing


def _place(rung: str, tokens: int) -> str:
    return f"{rung} at {short(tokens)} tokens"


def _winner(name: str | None) -> str:
    return "no winner" if name is None else f"{paradigm_name(name)} wins"
