"""Quantiles of the distributions behind our intervals.

scipy.stats has the same ones, to the last bit, but its import takes 0.6 s, and every command would wait for it.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaincinv, stdtrit

Array = NDArray[np.float64]


def t_quantile(share: float, dof: float) -> float:
    """The value below which Student's t, with `dof` degrees of freedom, is with this probability. nan if dof <= 0."""
    return float(stdtrit(dof, share))


def chi2_quantiles(shares: ArrayLike, dof: float) -> Array:
    """The values below which chi-squared, with `dof` degrees of freedom, is with these probabilities."""
    found: Array = 2 * gammaincinv(dof / 2, shares)
    return found
