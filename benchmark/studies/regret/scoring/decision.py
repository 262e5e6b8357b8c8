"""Who is measurably better, from means and half widths alone. The rule, its source and its limits: docs/decision.md."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

from lrladder.paradigms.sweep.noise import Noise

WINNER_LEVEL = 0.92  # of the interval between a winner and each rival; chosen among 90, 91 and 92% by simulation
FOUND_SHARE = 0.8  # the usual power of a test: of studies that would find the smallest difference that is reported
NODES = 40  # of the quadratures over the best's own noise and over the estimated sd; 80 move the result by under 0.1%

HalfWidth = Callable[[str, str, float], float | None]  # of the interval at a level of the difference of two names


class Decision(NamedTuple):
    """`order` is from the lowest loss up. Nobody is `behind` where there is a winner: then all others are."""

    order: tuple[str, ...]
    winner: str | None
    behind: tuple[str, ...]
    noise_known: bool

    @property
    def tied(self) -> tuple[str, ...]:
        """Those that are not measurably worse than the best, which is one of them."""
        return (self.winner,) if self.winner else tuple(name for name in self.order if name not in self.behind)


def decide(means: Mapping[str, float], half_width: HalfWidth) -> Decision:
    """Of distinct competitors, by mean loss over the same seeds; one alone wins nothing. Raises ValueError on none.

    The winner must beat every rival, each at its own interval: the error of that is at most that of the one pair that
    is tied at the top, so the number of rivals needs no correction. Being called behind does.
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
    """Of the interval by which the rank-th is behind the best: Bonferroni over the pairs of the best `rank`."""
    return 1 - (1 - WINNER_LEVEL) / (rank * (rank - 1) / 2)


def smallest_difference(noise: Noise, rivals: int) -> float | None:
    """Nats by which one must be better than all `rivals`, tied among themselves, to be named in FOUND_SHARE of studies.

    `noise` is that of the difference of two means, taken to be the true one; that each study estimates it anew enters.
    A computation, not a formula: the noncentral t for one rival, and for more its extension to their common best.
    None without a noise or a rival.
    """
    if noise.sd is None or rivals < 1:
        return None
    if noise.sd == 0:
        return 0.0
    quantile = float(stats.t.ppf((1 + WINNER_LEVEL) / 2, noise.dof))

    def short_by(difference: float) -> float:
        return found_share(difference, quantile, noise.dof, rivals) - FOUND_SHARE

    high = 2 * quantile + 4.0
    while short_by(high) < 0:
        high *= 2
    return noise.sd * float(optimize.brentq(short_by, 0.0, high, rtol=1e-4))


def found_share(difference: float, quantile: float, dof: float, rivals: int) -> float:
    """Probability that the best is lower than every rival by `quantile` estimated sds; both in sds of a difference.

    Each mean scatters by 1 / sqrt(2) of that sd on its own: the best's scatter is common to all of its differences.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    shares = (np.arange(NODES) + 0.5) / NODES
    estimated = np.ones(1) if math.isinf(dof) else np.sqrt(stats.chi2.ppf(shares, dof) / dof)
    margin = math.sqrt(2) * (difference - quantile * estimated[:, None]) - nodes
    beaten = stats.norm.cdf(margin) ** rivals @ weights / math.sqrt(2 * math.pi)
    return float(beaten.mean())
