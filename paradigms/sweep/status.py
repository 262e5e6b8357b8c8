"""What a fit of one sweep came to."""

from typing import Literal

# interior: a parabola has its minimum between LRs; bracketed: the lowest run lies between worse ones, but no parabola
# tells where, so that it stands for the minimum; edge: the minimum lies at an end; flat: no rise beyond the noise; few:
# under three LRs, none of them between worse ones
Status = Literal["interior", "bracketed", "edge", "flat", "few"]
