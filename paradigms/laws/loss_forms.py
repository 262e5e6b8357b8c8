"""Three forms of the law of the loss at the best LR against size N and tokens D, and their fit to log losses.

* additive: E + A N^-a + B D^-b, Chinchilla, arXiv 2203.15556.
* power: E + (A N^-a + B D^-b)^g, as Kaplan et al., arXiv 2001.08361 eq. 1.5, with a floor E. With g below 1 a model
  that is too small gains less from more tokens.
* product: E + A N^-a D^-b, the other extreme: a small model gains from more tokens as much as a large one.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

Array = NDArray[np.float64]

HUBER = 1e-3  # delta of the Huber loss of log losses, arXiv 2203.15556 appendix D.3
# Starts of the fit: (share of the loss that is E, both exponents). The published fits lie among them.
STARTS = tuple(product((0.3, 0.6, 0.85), (0.25, 0.6)))
MAX_STEPS = 200  # of the optimizer from each start; assumption
PRIOR_EXPONENT, PRIOR_LOG_SD = 0.35, 1.0  # weak prior of both exponents; near Chinchilla's (published.py)
PRIOR_POWER_LOG_SD = 0.7  # of ln g about 0; assumption
# A miss of log loss that weighs as much as one sd of these priors. It is so small that the priors decide only what the
# cells do not determine; assumption.
PRIOR_MISS = 2e-4
NAMES = ("floor", "size", "tokens", "alpha", "beta", "power")  # ln E, ln A^g, ln B^g, g a, g b, ln g
# Ends of the range of each of these constants; assumption: far wider than any published fit.
LOW = np.array([-12.0, -12.0, -12.0, 0.02, 0.02, -2.0])
HIGH = np.array([3.0, 3.0, 3.0, 3.0, 3.0, 2.0])


@dataclass(frozen=True)
class Form:
    """One form of the law. `free` has the indices in NAMES of the constants that are fitted."""

    name: str
    words: str  # its formula
    free: tuple[int, ...]

    @property
    def n_constants(self) -> int:
        """The number of fitted constants."""
        return len(self.free)

    def log_loss(self, constants: Array, x: Array, z: Array) -> tuple[Array, Array]:
        """Log loss [n] at ln N `x` and ln D `z` [n], and its gradient [n, 6] over all of NAMES."""
        return (_product if self.name == "product" else _power)(constants, x, z)

    def fit(self, x: Array, z: Array, y: Array, *, start: Array | None = None, weights: Array | None = None) -> Array:
        """The constants [6], as in NAMES, fitted to log losses `y` [n] at ln N `x` and ln D `z` [n].

        The fit begins at `start`, or else at all STARTS. `weights` [n] are those of the points.
        """
        root = np.ones_like(x) if weights is None else np.sqrt(weights)
        starts = [_start(floor, exponent) for floor, exponent in STARTS] if start is None else [start]
        free = list(self.free)
        still = _start(0.5, PRIOR_EXPONENT)

        def whole(values: Array) -> Array:
            constants = still.copy()
            constants[free] = values
            return constants

        def misses(values: Array) -> Array:
            constants = whole(values)
            return np.concatenate([(self.log_loss(constants, x, z)[0] - y) * root, _prior(constants)])

        def slopes(values: Array) -> Array:
            constants = whole(values)
            rows = np.concatenate([self.log_loss(constants, x, z)[1] * root[:, None], _prior_slopes(constants)])
            return np.asarray(rows[:, free])

        found = [
            optimize.least_squares(
                misses,
                np.clip(first[free], LOW[free], HIGH[free]),
                slopes,
                bounds=(LOW[free], HIGH[free]),
                loss="huber",
                f_scale=HUBER,
                x_scale="jac",
                max_nfev=MAX_STEPS,
            )
            for first in starts
        ]
        return whole(min(found, key=lambda fit: float(fit.cost)).x)


FORMS: Mapping[str, Form] = {
    form.name: form
    for form in (
        Form("additive", "E + A N^-alpha + B D^-beta", (0, 1, 2, 3, 4)),
        Form("power", "E + (A N^-alpha + B D^-beta)^gamma", (0, 1, 2, 3, 4, 5)),
        Form("product", "E + A N^-alpha D^-beta", (0, 1, 3, 4)),
    )
}


def _start(floor: float, exponent: float) -> Array:
    half = math.log((1 - floor) / 2)
    return np.array([math.log(floor), half, half, exponent, exponent, 0.0])


def _power(constants: Array, x: Array, z: Array) -> tuple[Array, Array]:
    e, a, b, alpha, beta, ln_g = constants
    g = math.exp(ln_g)
    size, tokens = a - alpha * x, b - beta * z
    inner = np.logaddexp(size / g, tokens / g)
    falling = g * inner
    total = np.logaddexp(e, falling)
    part, of_size = np.exp(falling - total), np.exp(size / g - inner)
    by_size, by_tokens = part * of_size, part * (1 - of_size)
    by_power = part * (falling - of_size * size - (1 - of_size) * tokens)
    return total, np.stack([1 - part, by_size, by_tokens, -by_size * x, -by_tokens * z, by_power], axis=1)


def _product(constants: Array, x: Array, z: Array) -> tuple[Array, Array]:
    e, a, _, alpha, beta, _ = constants
    falling = a - alpha * x - beta * z
    total = np.logaddexp(e, falling)
    part, none = np.exp(falling - total), np.zeros_like(x)
    return total, np.stack([1 - part, part, none, -part * x, -part * z, none], axis=1)


def _prior(constants: Array) -> Array:
    of_exponents = np.log(constants[3:5] / PRIOR_EXPONENT) / PRIOR_LOG_SD
    return PRIOR_MISS * np.array([*of_exponents, constants[5] / PRIOR_POWER_LOG_SD])


def _prior_slopes(constants: Array) -> Array:
    slopes = np.zeros((3, len(NAMES)))
    slopes[0, 3], slopes[1, 4] = PRIOR_MISS / (PRIOR_LOG_SD * constants[3:5])
    slopes[2, 5] = PRIOR_MISS / PRIOR_POWER_LOG_SD
    return slopes
