"""Estimates how precisely a law fitted to a few cells would predict the best LR lr* at a goal. Used to compare ladders.

The model is that of `lrladder fit` with fixed error sizes: ln lr* is linear in ln N, ln D and ln B, and the exponents
have the priors of paradigms/laws/design.py. Each minimum has an error of its own, and all minima of one model size have
one error in common.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lrladder.paradigms.laws.design import OPTIMUM_SD, PRIORS
from lrladder.paradigms.laws.posterior import OWN_SD, SIZE_SD
from lrladder.paradigms.published import STEP_LAW_CURVATURE, STEP_LAW_NOISE

FLAT = 10.0  # prior sd of ln of the prefactor; so large that the prior has no effect
SPREAD = 2 * math.log(2) ** 2  # sum of squared distances in ln lr of three LRs at factor 2 from the middle one
# Standard deviation of a searched minimum, in ln lr: OPTIMUM_SD, and what the noise of the losses adds.
CELL_SD = math.hypot(OPTIMUM_SD, STEP_LAW_NOISE / (2 * STEP_LAW_CURVATURE * math.sqrt(SPREAD)))


class At(NamedTuple):
    """What the best LR depends on, of a cell or a goal: active parameters, training tokens, and tokens per batch."""

    n_active: float
    tokens: float
    batch_tokens: float

    @property
    def logs(self) -> tuple[float, float, float]:
        """ln N, ln D, ln B."""
        return math.log(self.n_active), math.log(self.tokens), math.log(self.batch_tokens)


def predictive_sd(cells: Sequence[At], goal: At) -> float:
    """Standard deviation of ln lr* at the goal, after a search of each of `cells`."""
    x = np.column_stack([np.ones(len(cells)), np.array([cell.logs for cell in cells]) - np.array(goal.logs)])
    sizes = np.array([cell.n_active for cell in cells])
    noise = np.diag(np.full(len(cells), CELL_SD**2 + OWN_SD**2)) + SIZE_SD**2 * (sizes[:, None] == sizes)
    prior = np.array([FLAT, *(PRIORS[name].sd for name in ("size", "tokens", "batch"))])
    precision = x.T @ np.linalg.solve(noise, x) + np.diag(prior**-2)
    return math.sqrt(float(np.linalg.inv(precision)[0, 0]) + OWN_SD**2 + SIZE_SD**2)
