"""Checks that a column of counts has one unit."""

import numpy as np
import pandas as pd

from lrladder.benchmark.errors import InputError

UNIT_GAP = 1e4  # ratio of neighbouring values from which they must be in two units; assumption: no ladder jumps so far
# Ratio from which they may be in two units. Assumption: a ladder may jump so far, but then the larger model or horizon
# has the lower loss. Million and billion differ by 1,000, which the sizes in between can reduce to this ratio.
DOUBTFUL_GAP = 30.0
BESIDE = {
    "n_params": "tokens",
    "n_active": "tokens",
    "tokens": "n_params",
}  # the column that could explain a lower loss


def check_units(source: str, frame: pd.DataFrame, column: str) -> None:
    """Raise InputError if a column seems to have two units.

    This is so if neighbouring values differ by UNIT_GAP, or by DOUBTFUL_GAP with lower losses at the smaller values.
    """
    values = np.sort(frame[column].dropna().unique())
    with np.errstate(over="ignore"):  # a gap that is no float is a gap
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
            f"{source}: row {rows[0]}: column {column}: {low:,.12g}, but {high:,.12g} in row {rows[1]}, {why}: "
            "are there two units in this column? Write plain counts everywhere, or 350M and 1.3B"
        )


def _smaller_is_better(frame: pd.DataFrame, column: str, beside: str, low: float) -> bool:
    """Whether in some family a run at `low` or less has a lower loss than all runs above, with no more of `beside`."""
    for _, family in frame[frame["loss"].notna()].groupby("family"):
        small, large = family[family[column] <= low], family[family[column] > low]
        if len(large) and (small[small[beside] <= large[beside].max()]["loss"].min() < large["loss"].min()):
            return True
    return False
