"""Anyone's training runs: a checked table."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lrladder.benchmark.own_runs.table import NO_SEED, read_frame

CELL = ["family", "n_params", "n_active", "tokens"]
RUN = [*CELL, "batch_tokens", "lr", "seed"]


@dataclass(frozen=True)
class Runs:
    """Checked runs, and what was noticed about them, in words.

    `frame` has the columns family, n_params, n_active, tokens, batch_tokens (NaN: not known), lr, loss (NaN: diverged),
    seed (-1: not known), held_out and row, the line in the file.
    """

    frame: pd.DataFrame
    flags: tuple[str, ...] = ()


def load_runs(path: Path | str) -> Runs:
    """Read and check a CSV. A run that appears twice counts once; what it notices is flagged. Raises InputError."""
    frame = read_frame(Path(path))
    again = frame.duplicated([*RUN, "loss"])
    kept = frame[~again].reset_index(drop=True)
    mixed = kept.groupby(CELL)["held_out"].transform("nunique") > 1
    flags = (*_repeated(frame[again]), *_unnamed(kept), *_mixed(kept[mixed]))
    return Runs(kept.assign(held_out=kept["held_out"] | mixed), flags)


def _repeated(rows: pd.DataFrame) -> Iterator[str]:
    if len(rows):
        yield f"{len(rows):,} rows repeat a run and count once, the first in row {rows['row'].iloc[0]}"


def _unnamed(frame: pd.DataFrame) -> Iterator[str]:
    """Runs that only their loss tells apart."""
    same = frame.duplicated(RUN, keep=False)
    if same.any():
        seed = "no seed" if (frame.loc[same, "seed"] == NO_SEED).all() else "one seed"
        batch = "; if their batch size differs, name it in batch_tokens" if frame["batch_tokens"].isna().all() else ""
        yield f"{same.sum():,} rows differ only in their loss and have {seed}: taken as replicates{batch}"


def _mixed(rows: pd.DataFrame) -> Iterator[str]:
    if len(rows):
        yield f"held_out differs within {rows.groupby(CELL).ngroups} cells: all of their runs are held out"
