"""How sure a law from a few cells would be at a goal: a fast estimate, by which designs are compared.

The model is that of `lrladder fit` with its error sizes fixed: ln lr* is linear in ln N, ln D and ln B, and exponents
have the priors of paradigms/laws/design.py. Each minimum misses the law by its own error, and all minima of one size by
a shared one.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lrladder.paradigms.laws.design import OPTIMUM_SD, PRIORS
from lrladder.paradigms.laws.posterior import OWN_SD, SIZE_SD
from lrladder.paradigms.published import STEP_LAW_CURVATURE, STEP_LAW_NOISE

FLAT = 10.0  # prior sd of the prefactor, in ln lr: none
SPREAD = 2 * math.log(2) ** 2  # sum of squares of ln lr about the best, of three LRs at factor 2
CELL_SD = math.hypot(OPTIMUM_SD, STEP_LAW_NOISE / (2 * STEP_LAW_CURVATURE * math.sqrt(SPREAD)))  # of a minimum, ln lr


class At(NamedTuple):
    """A cell or a goal."""

    n_active: float
    tokens: float
    batch_tokens: float

    @property
    def logs(self) -> tuple[float, float, float]:
        return math.log(self.n_active), math.log(self.tokens), math.log(self.batch_tokens)


def predictive_sd(cells: Sequence[At], goal: At) -> float:
    """Standard deviation of ln lr* at the goal."""
    x = np.column_stack([np.ones(len(cells)), np.array([cell.logs for cell in cells]) - np.array(goal.logs)])
    sizes = np.array([cell.n_active for cell in cells])
    noise = np.diag(np.full(len(cells), CELL_SD**2 + OWN_SD**2)) + SIZE_SD**2 * (sizes[:, None] == sizes)
    prior = np.array([FLAT, *(PRIORS[name].sd for name in ("size", "tokens", "batch"))])
    precision = x.T @ np.linalg.solve(noise, x) + np.diag(prior**-2)
    return math.sqrt(float(np.linalg.inv(precision)[0, 0]) + OWN_SD**2 + SIZE_SD**2)
