"""Outcome of the fit of one sweep."""

from typing import Literal

# interior: a parabola has its minimum between LRs; bracketed: the lowest run lies between worse ones, but no parabola
# tells where, so that run stands for the minimum; edge: the minimum lies at an end; flat: losses rise no more than the
# noise; few: fewer than three LRs, and none of them lies between worse ones
Status = Literal["interior", "bracketed", "edge", "flat", "few"]
