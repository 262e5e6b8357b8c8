"""Decides which of several mean losses is measurably lower. docs/decision.md gives the rule, its reasons and limits."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize
from scipy.special import ndtr

from lrladder.paradigms.quantiles import chi2_quantiles, t_quantile
from lrladder.paradigms.sweep.noise import Noise

WINNER_LEVEL = 0.92  # of the interval that must exclude 0; chosen among 90, 91 and 92% by simulation (docs/decision.md)
FOUND_SHARE = (
    0.8  # share of studies that would find the smallest difference that is reported: the usual power of a test
)
NODES = 40  # of each of the two quadratures in `found_share`; with 80 the result changes by less than 0.1%

# (first, second, level) -> half width of the interval of their difference at this level, nats; None: unknown noise
HalfWidth = Callable[[str, str, float], float | None]


class Decision(NamedTuple):
    """Who wins, or who is measurably worse than the best. `behind` is empty if there is a winner."""

    order: tuple[str, ...]  # from the lowest mean loss to the highest
    winner: str | None
    behind: tuple[str, ...]
    noise_known: bool

    @property
    def tied(self) -> tuple[str, ...]:
        """The best, and all those that are not measurably worse than it."""
        return (self.winner,) if self.winner else tuple(name for name in self.order if name not in self.behind)


def decide(means: Mapping[str, float], half_width: HalfWidth) -> Decision:
    """Decides between competitors from their mean losses (nats) over the same seeds. One alone does not win.

    A winner must beat every rival. A false winner is therefore at most as likely as a false result for the one pair
    that is tied at the top, and the number of rivals needs no correction. Being called behind needs one.
    Raises ValueError if there is no competitor.
    """
    if not means:
        raise ValueError("no competitor to decide between")
    best, *rivals = order = sorted(means, key=lambda name: means[name])

    def exceeds(rival: str, level: float) -> bool:
        half = half_width(best, rival, level)
        return half is not None and means[rival] - means[best] > half

    known = all(half_width(best, rival, WINNER_LEVEL) is not None for rival in rivals)
    if rivals and all(exceeds(rival, WINNER_LEVEL) for rival in rivals):
        return Decision(tuple(order), best, (), known)
    behind: list[str] = []
    for rank in range(len(order), 1, -1):
        if not exceeds(order[rank - 1], behind_level(rank)):
            break
        behind.insert(0, order[rank - 1])
    return Decision(tuple(order), None, tuple(behind), known)


def behind_level(rank: int) -> float:
    """The level of the interval by which the competitor of this rank (the best has 1) must be worse to be behind.

    This is a Bonferroni correction over the pairs that can be formed of the best `rank` competitors.
    """
    return 1 - (1 - WINNER_LEVEL) / math.comb(rank, 2)


class Rival(NamedTuple):
    """How far a rival truly lies behind the best, in sds of their difference, and that sd's degrees of freedom."""

    difference: float
    dof: float


def smallest_difference(noise: Noise, rivals: int) -> float | None:
    """The lead (nats) over all `rivals` at which the share FOUND_SHARE of studies would name the winner.

    The rivals are taken to be tied among themselves. `noise` is that of the difference of two means and is taken to be
    the true one; each study is taken to estimate it anew. For one rival this is the noncentral t distribution.
    None if the noise is unknown or there is no rival.
    """
    if noise.sd is None or rivals < 1:
        return None

    def short_by(difference: float) -> float:
        return found_share([Rival(difference, noise.dof)] * rivals) - FOUND_SHARE

    high = 8.0
    while short_by(high) < 0:
        high *= 2
    return noise.sd * float(optimize.brentq(short_by, 0.0, high, rtol=1e-4))


def found_share(rivals: Sequence[Rival]) -> float:
    """Probability that the best is named winner over all of `rivals`.

    Each mean scatters by 1 / sqrt(2) of the sd of a difference on its own: the best's scatter is common to all of its
    differences, and so is the error of the estimated noise.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    shares = (np.arange(NODES) + 0.5) / NODES
    beaten = np.ones((NODES, NODES))  # by estimated noise, and by the best's own scatter
    for rival, n_alike in Counter(rivals).items():
        exact = math.isinf(rival.dof)
        estimated = np.ones(NODES) if exact else np.sqrt(chi2_quantiles(shares, rival.dof) / rival.dof)
        bar = t_quantile((1 + WINNER_LEVEL) / 2, rival.dof) * estimated
        margin = math.sqrt(2) * (rival.difference - bar[:, None]) - nodes
        beaten *= ndtr(margin) ** n_alike
    return float((beaten @ weights).mean() / math.sqrt(2 * math.pi))
