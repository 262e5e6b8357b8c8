"""What a fit of one sweep came to."""

from typing import Literal

# interior: the minimum is bracketed; edge: it lies at an end; flat: no rise beyond the noise; few: under three LRs
Status = Literal["interior", "edge", "flat", "few"]
