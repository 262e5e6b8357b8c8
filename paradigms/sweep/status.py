"""Outcome of the fit of one sweep."""

from typing import Literal

# interior: the minimum is bracketed; edge: it lies at an end; flat: losses rise no more than the noise; few: fewer than
# three LRs finished
Status = Literal["interior", "edge", "flat", "few"]
