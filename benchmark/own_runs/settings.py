"""Settings other than LR and batch that a table may vary: chooses the best of each cell, and says what others cost."""

from collections.abc import Iterator, Sequence
from statistics import median
from typing import NamedTuple

import pandas as pd

from lrladder.benchmark.documents import Frozen

SETTINGS = ("weight_decay", "warmup_tokens", "decay_fraction", "beta2")
CELL = ["family", "n_params", "n_active", "tokens"]  # columns that the runs of one model and horizon share
SWEEP = [*CELL, "batch_tokens"]  # columns that the runs of one LR sweep share


class Tried(NamedTuple):
    """A setting that varies in one cell: the lowest loss over all LRs, by the value of the setting."""

    name: str
    losses: dict[float, float]

    @property
    def best(self) -> float:
        """The value with the lowest loss."""
        return min(self.losses, key=lambda value: self.losses[value])


class SettingValue(Frozen):
    """One value of a setting that varies."""

    value: float
    n_cells: int  # cells that have it
    n_best: int  # cells where it is best
    above: float  # median over cells of its loss minus the lowest, nats


class SettingResult(Frozen):
    """A setting that varies within `n_cells` cells. Its values are ascending, and each is taken at its own best LR."""

    name: str
    n_cells: int
    values: tuple[SettingValue, ...]


def choose_settings(frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[Tried, ...], tuple[str, ...]]:
    """The runs with the settings of the best run of their cell, what was tried, and flags about the runs left out."""
    varied = [name for name in SETTINGS if frame[name].nunique(dropna=False) > 1]
    if not varied:
        return frame, (), ()
    tried: list[Tried] = []
    kept = pd.Series(False, frame.index)
    for _, cell in frame.groupby(SWEEP, dropna=False):
        tried += _tried(cell, varied)
        kept[cell.index[_as_best(cell, varied)]] = True
    names = sorted({one.name for one in tried})
    why = f"their {' or '.join(names)} is not that of the best run of their cell"
    said = f"{(~kept).sum():,} of {len(frame):,} runs are left out: {why}"
    return frame[kept].reset_index(drop=True), tuple(tried), (said,) if names else ()


def _tried(cell: pd.DataFrame, varied: Sequence[str]) -> Iterator[Tried]:
    for name in varied:
        losses = cell.groupby(name)["loss"].min().dropna()
        if len(losses) > 1:
            yield Tried(name, dict(zip(losses.index.astype(float), losses.astype(float), strict=True)))


def _as_best(cell: pd.DataFrame, varied: Sequence[str]) -> pd.Series:
    """Whether each run has the settings of the run with the lowest loss of the cell. True for all if all diverged."""
    if cell["loss"].isna().all():
        return pd.Series(True, cell.index)
    best = cell[list(varied)].iloc[int(cell["loss"].argmin())]
    same = (cell[list(varied)] == best) | (cell[list(varied)].isna() & best.isna())
    return same.all(axis=1)


def results_of(tried: Sequence[Tried]) -> tuple[SettingResult, ...]:
    """The result of each setting that varies, over all cells."""
    return tuple(_result(name, [one for one in tried if one.name == name]) for name in SETTINGS if _has(tried, name))


def _has(tried: Sequence[Tried], name: str) -> bool:
    return any(one.name == name for one in tried)


def _result(name: str, cells: Sequence[Tried]) -> SettingResult:
    values = sorted({value for cell in cells for value in cell.losses})
    rows = []
    for value in values:
        own = [cell for cell in cells if value in cell.losses]
        above = median(cell.losses[value] - cell.losses[cell.best] for cell in own)
        rows.append(SettingValue(value=value, n_cells=len(own), n_best=sum(c.best == value for c in own), above=above))
    return SettingResult(name=name, n_cells=len(cells), values=tuple(rows))


def words(found: SettingResult) -> str:
    """The result of a setting in one line, the best value first."""
    order = sorted(found.values, key=lambda value: (-value.n_best, value.above))
    first, *others = order
    rest = ", ".join(f"{one.value:g}: {1e3 * one.above:.2g} millinats above" for one in others)
    return f"{found.name} {first.value:g} is best in {first.n_best} of {found.n_cells} cells ({rest})"
