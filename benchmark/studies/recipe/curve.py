"""The losses along one ingredient of the recipe: which value to measure next, and which value to choose."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

import numpy as np

from lrladder.benchmark.studies.recipe.noise import Losses, Noise
from lrladder.benchmark.studies.recipe.results import Status

# All five are assumptions.
STEP = 1.0  # octaves between the values that are measured
FINE = 0.5  # octaves; a choice is rounded to a multiple
TO_CLOSE = 2.0  # sds of the difference by which a point must be worse than the best to be an end of the bracket
TO_MOVE = 3.0  # sds by which a move must improve the loss; more than TO_CLOSE, because a move by chance costs a pass
FLAT = 2.0  # octaves on either side without a worse point, after which the ingredient is called flat


class Bracket(NamedTuple):
    """The nearest points that are worse than the best one. None on a side that has no worse point."""

    low: float | None
    high: float | None


@dataclass(frozen=True)
class Curve:
    """Losses by offset, in octaves, from the present setting. `low` and `high` are the ends of the range.

    The present setting has offset 0. `old` is the offset of the old value, which is chosen if no value is better.
    """

    points: Mapping[float, Losses]
    low: float
    high: float
    noise: Noise
    old: float = 0.0

    @property
    def means(self) -> dict[float, float]:
        """Mean loss by offset, ascending, without the offsets at which a seed diverged."""
        return {
            x: fmean(loss for loss in losses if loss is not None)
            for x, losses in sorted(self.points.items())
            if None not in losses
        }

    @property
    def best(self) -> float | None:
        means = self.means
        return min(means, key=lambda x: means[x]) if means else None

    def is_worse(self, x: float, than: float, *, sds: float) -> bool:
        """Whether `x` is worse by at least `sds` sds of the difference. A diverged point is worse than any finished."""
        means = self.means
        if x not in means or than not in means:
            return than in means
        return means[x] - means[than] > self.noise.limit(len(self.points[x]), sds=sds)

    @property
    def stays(self) -> bool:
        """Whether the present setting is not measurably worse than the best one."""
        best = self.best
        return best is None or not self.is_worse(0.0, best, sds=TO_MOVE)

    @property
    def bracket(self) -> Bracket:
        """The bracket of the best point. It also encloses the present setting, unless that is measurably worse."""
        best = self.best
        if best is None:
            return Bracket(None, None)
        within = (best, 0.0) if self.stays else (best,)
        worse = [x for x in self.points if self.is_worse(x, best, sds=TO_CLOSE)]
        return Bracket(
            max((x for x in worse if x < min(within)), default=None),
            min((x for x in worse if x > max(within)), default=None),
        )

    @property
    def status(self) -> Status:
        low, high = self.bracket
        if low is not None and high is not None:
            return "bracketed"
        if self.best is None or self.missing():
            return "not reached"
        return "flat" if low is None and high is None else "edge"

    def missing(self) -> list[float]:
        """The offsets to measure next. Empty if both sides are settled."""
        if not self.points:
            return [x for x in (-STEP, 0.0, STEP) if self.low <= x <= self.high]
        low, high = self.bracket
        seems_flat = low is None and high is None
        sides = ((low, min(self.points), -1.0), (high, max(self.points), 1.0))
        wanted = [self._next(last, way, seems_flat) for found, last, way in sides if found is None]
        further = [x for x in wanted if x is not None]
        return further or ([self.old] if seems_flat and self.old not in self.points else [])

    def _next(self, last: float, way: float, seems_flat: bool) -> float | None:
        """The next offset to measure on one side, an octave beyond `last`; None if that side has been measured.

        If no point is worse on either side, the side ends at FLAT, else at the end of the range.
        """
        end = self.high if way > 0 else self.low
        reach = min(FLAT, way * end) if seems_flat else way * end
        if reach - way * last < FINE / 2:  # the end is reached, or the next point would be too near to differ
            return None
        return way * min(way * last + STEP, way * end)

    def choice(self) -> float:
        """The offset to move to. It is 0 unless another one is better beyond the noise.

        If the ingredient is bracketed, it is the vertex of a parabola, rounded to half an octave. If it is flat, it is
        the old value.
        """
        best = self.best
        if best is None or self.status == "not reached":
            return 0.0
        if self.status == "flat":
            return self.old
        if self.status == "edge":
            return 0.0 if self.stays else best
        vertex, sd = self._vertex(best)
        if self.stays and abs(vertex) <= TO_MOVE * sd:
            return 0.0
        return round(vertex / FINE) * FINE

    def _vertex(self, best: float) -> tuple[float, float]:
        """Vertex and its sd of a parabola through the points of the bracket.

        It is the best point itself, with sd 0, if fewer than three points finished or the parabola is not convex.
        """
        low, high = self.bracket
        assert low is not None
        assert high is not None
        means = {x: mean for x, mean in self.means.items() if low <= x <= high}
        if len(means) < 3:
            return best, 0.0
        x, y = (np.array(list(values)) for values in (means.keys(), means.values()))
        sd_of_mean = self.noise.sd_of_difference(len(self.points[best])) / 2**0.5
        design = np.vander(x - best, 3)
        cov = np.linalg.inv(design.T @ design)
        curvature, slope, _ = (float(value) for value in cov @ design.T @ y)
        if curvature <= 0:
            return best, 0.0
        vertex = -slope / (2 * curvature)
        gradient = np.array([-vertex / curvature, -1 / (2 * curvature), 0.0])  # of the vertex, by the coefficients
        sd = sd_of_mean * float(gradient @ cov @ gradient) ** 0.5
        return min(max(best + vertex, low + FINE), high - FINE), sd
