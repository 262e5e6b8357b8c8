"""Who is measurably better, from means and half widths alone. The rule, its source and its limits: docs/decision.md."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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


class Rival(NamedTuple):
    """How far a rival truly lies behind the best, in sds of their difference, and that sd's degrees of freedom."""

    difference: float
    dof: float


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
        estimated = np.ones(NODES) if exact else np.sqrt(stats.chi2.ppf(shares, rival.dof) / rival.dof)
        bar = stats.t.ppf((1 + WINNER_LEVEL) / 2, rival.dof) * estimated
        margin = math.sqrt(2) * (rival.difference - bar[:, None]) - nodes
        beaten *= stats.norm.cdf(margin) ** n_alike
    return float((beaten @ weights).mean() / math.sqrt(2 * math.pi))
