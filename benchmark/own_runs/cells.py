"""Groups the runs of a CSV into cells: one LR sweep per model and horizon, at one batch size."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.own_runs.runs import Runs
from lrladder.benchmark.own_runs.settings import SWEEP
from lrladder.benchmark.own_runs.table import NO_SEED
from lrladder.paradigms.published import FLOPS_PER_PARAMETER
from lrladder.paradigms.sweep.curve import Curve
from lrladder.paradigms.sweep.pooled import fit_curves
from lrladder.paradigms.sweep.swept import settle, sweep

Protocol = Literal["best", "rule", "fixed"]


@dataclass(frozen=True)
class RunCell:
    """The LR sweep of one cell. `losses` has None for a diverged run. `batch_tokens` is None if the file has none."""

    family: str
    n_params: float
    n_active: float
    tokens: float
    batch_tokens: float | None
    lrs: tuple[float, ...]
    losses: tuple[float | None, ...]
    seeds: tuple[int, ...]
    held_out: bool
    curve: Curve

    @property
    def flops(self) -> float:
        """6 N D, with N the active parameters."""
        return FLOPS_PER_PARAMETER * self.n_active * self.tokens

    @property
    def loss_best(self) -> float | None:
        """The fitted minimum, or the lowest loss if the curve is only bracketed."""
        if self.curve.status == "bracketed":
            return float(settle(sweep(self.lrs, self.losses)).sweep.means.min())
        return self.curve.minimum

    @property
    def name(self) -> str:
        """The cell in words: family, N, D and batch."""
        batch = "" if self.batch_tokens is None else f", batch {self.batch_tokens:.12g}"
        family = f"{self.family} " if self.family else ""
        active = "" if self.n_active == self.n_params else f" ({self.n_active:.12g} active)"
        return f"{family}N {self.n_params:.12g}{active}, D {self.tokens:.12g}{batch}"


class _Sweep(NamedTuple):
    key: tuple[str, float, float, float]
    batch: float | None
    lrs: tuple[float, ...]
    losses: tuple[float | None, ...]
    seeds: tuple[int, ...]
    held_out: bool


def all_cells(runs: Runs) -> tuple[RunCell, ...]:
    """The sweeps of all models and horizons at all batch sizes."""
    sweeps = _sweeps(runs)
    curves: dict[int, Curve] = {}
    for family in sorted({one.key[0] for one in sweeps}):  # the noise of one family says nothing of another's
        of_family = [i for i, one in enumerate(sweeps) if one.key[0] == family]
        fitted = fit_curves([(sweeps[i].lrs, sweeps[i].losses) for i in of_family], step=runs.loss_step)
        curves |= dict(zip(of_family, fitted, strict=True))
    return tuple(
        RunCell(*one.key, one.batch, one.lrs, one.losses, one.seeds, one.held_out, curves[i])
        for i, one in enumerate(sweeps)
    )


def cells(runs: Runs, *, protocol: Protocol = "best") -> tuple[RunCell, ...]:
    """Every model and horizon, each at the one batch size that the protocol chooses."""
    return choose_batch(all_cells(runs), protocol)


def choose_batch(found: Sequence[RunCell], protocol: Protocol) -> tuple[RunCell, ...]:
    """Choose one batch size per model and horizon.

    "best" takes the batch whose fitted minimum is lowest. "rule" takes the batch nearest to a power law of tokens,
    fitted to the best batches. "fixed" takes the batch that most sweeps have and leaves other cells out. Raises
    InputError if the last two lack batch sizes.
    """
    groups: dict[tuple[object, ...], list[RunCell]] = {}
    for cell in found:
        groups.setdefault((cell.family, cell.n_params, cell.n_active, cell.tokens), []).append(cell)
    best = [min(group, key=_rank) for group in groups.values()]
    if protocol == "best":
        return tuple(best)
    if any(cell.batch_tokens is None for cell in found):
        raise InputError(f"--protocol {protocol} needs batch_tokens in every row; add them, or use --protocol best")
    if protocol == "fixed":
        common = Counter(cell.batch_tokens for cell in found)
        chosen = max(common, key=lambda batch: (common[batch], batch or 0.0))
        return tuple(cell for cell in found if cell.batch_tokens == chosen)
    slope, level = _batch_rule(best)
    return tuple(
        min(group, key=lambda cell: abs(math.log(cell.batch_tokens or 1) - level - slope * math.log(cell.tokens)))
        for group in groups.values()
    )


def _rank(cell: RunCell) -> tuple[bool, float, float]:
    """Sort key: bracketed minima first, by their loss; then the lowest loss; among equals the larger batch."""
    tried = [loss for loss in cell.losses if loss is not None]
    loss = cell.loss_best if cell.loss_best is not None else min(tried, default=math.inf)
    return cell.curve.status not in ("interior", "bracketed"), loss, -(cell.batch_tokens or 0.0)


def _batch_rule(best: Sequence[RunCell]) -> tuple[float, float]:
    """Slope and level of ln B against ln D by least squares. The slope is 0 if there is only one horizon."""
    x = np.log([cell.tokens for cell in best])
    y = np.log([cell.batch_tokens or 1.0 for cell in best])
    if np.ptp(x) == 0:
        return 0.0, float(y.mean())
    slope, level = np.polyfit(x, y, 1)
    return float(slope), float(level)


def _sweeps(runs: Runs) -> list[_Sweep]:
    if runs.frame.empty:
        return []
    frame = _best_of_unknown(runs.frame.sort_values([*SWEEP, "lr", "seed", "loss"]))
    number = frame.groupby(SWEEP, dropna=False, sort=False).ngroup().to_numpy()
    starts = [0, *(np.flatnonzero(np.diff(number)) + 1), len(frame)]
    columns = {name: frame[name].to_list() for name in (*SWEEP, "lr", "loss", "seed", "held_out")}
    return [_sweep(columns, slice(start, end)) for start, end in pairwise(starts)]


def _sweep(columns: dict[str, list[Any]], rows: slice) -> _Sweep:
    family, n_params, n_active, tokens, batch = (columns[name][rows.start] for name in SWEEP)
    return _Sweep(
        key=(family, n_params, n_active, tokens),
        batch=None if math.isnan(batch) else batch,
        lrs=tuple(columns["lr"][rows]),
        losses=tuple(None if math.isnan(loss) else loss for loss in columns["loss"][rows]),
        seeds=tuple(columns["seed"][rows]),
        held_out=any(columns["held_out"][rows]),
    )


def _best_of_unknown(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep only the best of several runs at one LR that differ in something unknown, most likely the batch.

    Runs whose seeds or whose batch are known are replicates, so all of them are kept. Within each LR `frame` is sorted
    by loss, diverged runs last.
    """
    seeded = (frame["seed"] != NO_SEED).groupby([frame[name] for name in SWEEP], dropna=False).transform("any")
    told = frame["batch_tokens"].notna() | seeded
    return frame[told | ~frame.duplicated([*SWEEP, "lr"])]
