"""Checks that a column of counts has one unit."""

from pathlib import Path

import numpy as np
import pandas as pd

from lrladder.benchmark.errors import InputError

UNIT_GAP = 1e4  # no ladder jumps this far between neighbouring sizes or horizons: two units in one column
# Assumption: a ladder may jump this far between neighbours, but then the larger has the lower loss. A million to a
# billion is 1,000, and sizes within each may close the gap to this.
DOUBTFUL_GAP = 30.0
BESIDE = {"n_params": "tokens", "n_active": "tokens", "tokens": "n_params"}  # what must not explain the lower loss


def check_units(path: Path, frame: pd.DataFrame, column: str) -> None:
    """Raise InputError if a column seems to have two units.

    It seems so if neighbouring values lie UNIT_GAP apart, or DOUBTFUL_GAP with lower losses at the smaller values.
    """
    values = np.sort(frame[column].dropna().unique())
    gaps = values[1:] / values[:-1]
    for place in np.flatnonzero(gaps >= DOUBTFUL_GAP):
        low, high = values[place], values[place + 1]
        if gaps[place] >= UNIT_GAP:
            why = "and nothing between"
        elif column in BESIDE and _smaller_is_better(frame, column, BESIDE[column], low):
            why = "where losses are higher"
        else:
            continue
        rows = [frame.loc[frame[column] == value, "row"].iloc[0] for value in (low, high)]
        raise InputError(
            f"{path}: row {rows[0]}: column {column}: {low:,.12g}, but {high:,.12g} in row {rows[1]}, {why}: "
            "two units in one column? Write plain counts everywhere, or 350M and 1.3B"
        )


def _smaller_is_better(frame: pd.DataFrame, column: str, beside: str, low: float) -> bool:
    """Whether in some family a run at `low` or less has a lower loss than all above, with no more of `beside`."""
    for _, family in frame[frame["loss"].notna()].groupby("family"):
        small, large = family[family[column] <= low], family[family[column] > low]
        if len(large) and (small[small[beside] <= large[beside].max()]["loss"].min() < large["loss"].min()):
            return True
    return False
