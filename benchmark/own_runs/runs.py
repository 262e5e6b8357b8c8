"""Loads a table of anyone's training runs, checks it, and says in flags how it was understood."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lrladder.benchmark.own_runs.files import Source
from lrladder.benchmark.own_runs.resolution import loss_step
from lrladder.benchmark.own_runs.settings import CELL, SETTINGS, SWEEP, Tried, choose_settings
from lrladder.benchmark.own_runs.table import NO_SEED, read_frame

# Horizons of one model whose tokens differ by at most this share count as one. Assumption: runs of one sweep end some
# steps apart, and over 2% more tokens the reducible part of a loss falls by under 1% (exponent 0.28, arXiv 2203.15556).
SAME_HORIZON = 0.02
RUN = [*SWEEP, "lr", "seed"]


@dataclass(frozen=True)
class Runs:
    """Checked runs. `flags` say what was noticed about them.

    `frame` has the columns family, n_params, n_active, tokens, batch_tokens (NaN if unknown), lr, loss (NaN for a
    diverged run), seed (-1 if unknown), held_out, log (the path of its log, "" without one), those of SETTINGS (NaN if
    unknown), and row (the line in the file). `loss_step` is the rounding step of the losses, in nats; 0 means that they
    are fine.
    """

    frame: pd.DataFrame
    flags: tuple[str, ...] = ()
    loss_step: float = 0.0
    tried: tuple[Tried, ...] = ()  # other settings than the LR that vary within cells


def load_runs(source: Source | str, columns: Mapping[str, str] | None = None) -> Runs:
    """Read and check a table. Raises InputError.

    `columns` maps our column names to those of the table. A run that appears twice counts once. Flags say what was
    noticed.
    """
    frame, read = read_frame(Path(source) if isinstance(source, str) else source, columns)
    frame, joined = join_horizons(frame)
    step, written = loss_step(frame["loss"].to_numpy())
    again = frame.duplicated([*RUN, *SETTINGS, "loss"])
    kept, tried, chosen = choose_settings(frame[~again].reset_index(drop=True))
    mixed = kept.groupby(CELL)["held_out"].transform("nunique") > 1
    said = (*read, *joined, *_rounded(step, written), *_repeated(frame[again]), *chosen)
    flags = (*said, *_unnamed(kept), *_mixed(kept[mixed]))
    return Runs(kept.assign(held_out=kept["held_out"] | mixed), flags, step, tried)


def join_horizons(frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Horizons of one model within SAME_HORIZON of the shortest get the value that most of their runs have."""
    tokens = frame["tokens"].copy()
    joined = 0
    for _, model in frame.groupby(["family", "n_params", "n_active"])["tokens"]:
        counts = model.value_counts().sort_index()
        values = counts.index.to_numpy()
        start = 0
        while start < len(values):
            end = int(np.searchsorted(values, values[start] * (1 + SAME_HORIZON), side="right"))
            if end - start > 1:
                near = model.index[model.isin(values[start:end])]
                tokens[near] = counts.iloc[start:end].idxmax()
                joined += 1
            start = end
    if not joined:
        return frame, ()
    said = f"horizons within {100 * SAME_HORIZON:g}% of each other are taken as one, {joined:,} times"
    return frame.assign(tokens=tokens), (said,)


def _rounded(step: float, written: str) -> Iterator[str]:
    if step:
        sd = 1e3 * step / math.sqrt(12)
        rounded = f"losses are rounded to {written}, steps of {1e3 * step:.3g} millinats"
        yield f"{rounded}: their noise is taken as at least {sd:.2g}"


def _repeated(rows: pd.DataFrame) -> Iterator[str]:
    if len(rows):
        yield f"{len(rows):,} rows repeat a run and count once, the first in row {rows['row'].iloc[0]}"


def _unnamed(frame: pd.DataFrame) -> Iterator[str]:
    """Flags for runs that differ in nothing but their loss."""
    same = frame.duplicated(RUN, keep=False)
    if same.any():
        seed = "no seed" if (frame.loc[same, "seed"] == NO_SEED).all() else "one seed"
        batch = (
            "; if their batch sizes differ, give them in a column batch_tokens"
            if frame["batch_tokens"].isna().all()
            else ""
        )
        yield f"{same.sum():,} rows differ only in their loss and have {seed}: taken as replicates{batch}"


def _mixed(rows: pd.DataFrame) -> Iterator[str]:
    if len(rows):
        yield f"held_out differs within {rows.groupby(CELL).ngroups} cells: all of their runs are held out"
