"""Summarises a replay over all its targets: a row per strategy, for the terminal and for CSV."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import make_folder, require_new_or_own, write_result
from lrladder.benchmark.own_runs.replay import SCHEMA as REPLAY_SCHEMA
from lrladder.benchmark.own_runs.replay import Replay, StrategyScore, TargetScore
from lrladder.benchmark.reading import RESULTS_BYTES, read_text, why
from lrladder.benchmark.tables import WordTable
from lrladder.paradigms.level import LEVEL
from lrladder.reports.downloads import to_csv
from lrladder.reports.formats import millinats
from lrladder.reports.results_page import Held, in_a_line

Array = NDArray[np.float64]

DRAWS = 2000  # of the bootstrap; the width of its 90% interval then varies by a few percent with the seed
MILLI = 1e3
TITLE = "Loss above the best LR of each target (regret), in millinats [90% bootstrap interval over targets]"
FRONTIER = (
    "Frontier: the lowest median regret at each cost. It is chosen with the targets known, so luck helps the leader."
)
TARGET_COLUMNS = tuple(name for name in TargetScore.model_fields if name not in ("strategies", "flags"))
COLUMNS = (
    "strategy",
    "targets",
    "median",
    "90th percentile",
    "worst",
    "median cost, target runs",
    "LR intervals that hold",
)  # of the table on the terminal
STRATEGY_COLUMNS = tuple(StrategyScore.model_fields)


class Summary(NamedTuple):
    """One strategy over all targets. Regrets are in nats, read from the parabola of the target's sweep."""

    name: str
    asked: int  # number of targets
    n: int  # number of targets at which it has a regret
    median: float
    median_low: float  # 90% bootstrap interval over targets
    median_high: float
    p90: float
    worst: float
    cost: float  # median over targets, in runs of the target
    covered: int  # number of targets whose best LR lies in the strategy's 90% interval
    intervals: int  # number of targets at which the strategy gives an interval and the best LR is known


def load(folder: Path) -> Replay:
    """The replay that `lrladder replay --out` wrote to a folder. Raises InputError."""
    path = folder / "replay.json"
    try:
        return Replay.from_json(read_text(path, RESULTS_BYTES))
    except (OSError, ValueError) as error:
        again = f"run `lrladder replay RUNS.csv --out {folder}` again"
        raise InputError(f"{path} cannot be read ({why(error)}); {again}") from error


def held(result: Replay) -> Held:
    """The replay in a line, for `lrladder index` and `compare`."""
    scored = (f"{s.name} {millinats(s.median)} millinats" for s in summarise(result) if s.n)
    return Held(
        "replay",
        f"batch: {result.protocol}",
        f"{len(result.targets)} targets",
        in_a_line(scored, "no strategy has been scored", head="median regret: "),
    )


def summarise(result: Replay) -> tuple[Summary, ...]:
    """A summary of each strategy, in the order of the replay."""
    names = [score.name for score in result.targets[0].strategies] if result.targets else []
    by_name = [[target.strategies[i] for target in result.targets] for i in range(len(names))]
    return tuple(_summary(name, scores) for name, scores in zip(names, by_name, strict=True))


def frontier(rows: Iterable[Summary]) -> tuple[Summary, ...]:
    """The strategies that are not beaten in median regret by one that costs no more, by rising cost.

    Only strategies with a regret at every target are compared.
    """
    best: list[Summary] = []
    for row in sorted((row for row in rows if row.n and row.n == row.asked), key=lambda row: (row.cost, row.median)):
        if not best or row.median < best[-1].median:
            best.append(row)
    return tuple(best)


def _summary(name: str, scores: Iterable[StrategyScore]) -> Summary:
    scores = list(scores)
    regrets = np.array([score.regret_quadratic for score in scores if score.regret_quadratic is not None])
    covered = [score.covered for score in scores if score.covered is not None]
    median, low, high, p90, worst = _spread(regrets)
    cost = float(np.median([score.cost_fraction for score in scores]))
    return Summary(name, len(scores), len(regrets), median, low, high, p90, worst, cost, sum(covered), len(covered))


def _spread(regrets: Array) -> tuple[float, float, float, float, float]:
    """(median, low and high end of its 90% interval, 90th percentile, largest) of regrets; NaN if there are none."""
    if not len(regrets):
        return (np.nan,) * 5
    picks = np.random.default_rng(0).integers(len(regrets), size=(DRAWS, len(regrets)))
    low, high = np.quantile(np.median(regrets[picks], axis=1), ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(np.median(regrets)), float(low), float(high), float(np.quantile(regrets, 0.9)), float(regrets.max())


def render(result: Replay, console: Console) -> None:
    """Print a table of all strategies, a table of the frontier, and the flags of the replay."""
    rows = summarise(result)
    if result.targets:
        console.print(_table(TITLE, rows))
        console.print(_table(FRONTIER, frontier(rows)))
    for flag in result.flags:
        console.print(flag, markup=False, highlight=False)


def _table(title: str, rows: Iterable[Summary]) -> WordTable:
    table = WordTable(title, COLUMNS, left=1)
    for row in rows:
        table.add_row(*_columns(row))
    return table


def _columns(row: Summary) -> tuple[str, ...]:
    counted = f"{row.n}" if row.n == row.asked else f"{row.n} of {row.asked}"
    covered = f"{row.covered} of {row.intervals}" if row.intervals else "-"
    if not row.n:
        return row.name, counted, "-", "-", "-", f"{row.cost:.2f}", covered
    median = f"{MILLI * row.median:.2f} [{MILLI * row.median_low:.2f}, {MILLI * row.median_high:.2f}]"
    return row.name, counted, median, f"{MILLI * row.p90:.2f}", f"{MILLI * row.worst:.2f}", f"{row.cost:.2f}", covered


def frame(result: Replay) -> pd.DataFrame:
    """A table with a row per target and strategy. Flags of both are joined by semicolons."""
    rows = [
        {
            **target.model_dump(include=set(TARGET_COLUMNS)),
            **score.model_dump(),
            "flags": "; ".join((*target.flags, *score.flags)),
        }
        for target in result.targets
        for score in target.strategies
    ]
    return pd.DataFrame(rows, columns=[*TARGET_COLUMNS, *STRATEGY_COLUMNS])


def require_own(folder: Path) -> None:
    """Raise InputError unless the folder can be written to, and replay.json and replay.csv are ours or absent."""
    make_folder(folder)
    require_new_or_own(folder / "replay.json", "--out", lambda head: REPLAY_SCHEMA.encode() in head)
    header = ",".join((*TARGET_COLUMNS, *STRATEGY_COLUMNS)).encode()
    require_new_or_own(folder / "replay.csv", "--out", lambda head: head.startswith(header))


def write(result: Replay, folder: Path) -> None:
    """Write replay.json and replay.csv. Nothing else in the folder is touched. Raises InputError."""
    require_own(folder)
    write_result(folder / "replay.json", result.to_json(), "--out")
    write_result(folder / "replay.csv", to_csv(frame(result)), "--out")
