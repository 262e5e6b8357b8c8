"""Rungs of one horizon each and a lab of a known law that runs them at fixed LRs."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lrladder.benchmark.lab.simulated import SimulatedLab
from lrladder.benchmark.lab.truth import TrueLaw

LAW = TrueLaw(k=20.0, u=0.3, v=0.25)
SIZES = (10**7, 4 * 10**7, 16 * 10**7)
HORIZONS = (10**9, 4 * 10**9, 16 * 10**9)
GRID = tuple(2.0**power for power in np.arange(-14, -2).tolist())


@dataclass(frozen=True)
class OneCell:
    """A size and a horizon."""

    n_active: int
    tokens: int
    batch_tokens: int = 2**19
    part: Literal["proxy", "target"] = "proxy"

    @property
    def name(self) -> str:
        return f"{self.n_active}x{self.tokens}"

    @property
    def n_total(self) -> int:
        return self.n_active

    @property
    def horizons(self) -> tuple[int, ...]:
        return (self.tokens,)

    @property
    def flops_per_token(self) -> int:
        return 6 * self.n_active


CELLS = tuple(OneCell(n, tokens) for n in SIZES for tokens in HORIZONS)
AIM = OneCell(64 * 10**7, 64 * 10**9, part="target")
BEST = LAW.lr(AIM.n_active, AIM.tokens, "sp")


def lab(*, noise_sd: float = 0.0, grid: tuple[float, ...] | None = GRID, **bowl: float) -> SimulatedLab:
    """Runs of all cells and of the aim."""
    return SimulatedLab((*CELLS, AIM), LAW, grid=grid, noise_sd=noise_sd, **bowl)
