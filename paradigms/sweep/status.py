"""The outcomes of the fit of one LR sweep."""

from typing import Literal

# interior: a fitted parabola has its minimum inside the sweep.
# bracketed: the lowest run lies between worse ones, but no parabola fits, so this run stands for the minimum.
# edge: the minimum lies at an end of the sweep, or beyond it.
# flat: the losses do not rise by more than the noise.
# few: fewer than three LRs finished, and none of them lies between worse ones.
Status = Literal["interior", "bracketed", "edge", "flat", "few"]
