"""Fits the law of the best LR with one measure of N: the design of its columns, and the posterior of their slopes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrladder.paradigms.laws.design import Design, LawPoint, Place, Size
from lrladder.paradigms.laws.posterior import Labels, Posterior, fit_posterior
from lrladder.paradigms.level import LEVEL

Array = NDArray[np.float64]
Key = tuple[float, ...]

INTERCEPT_SD = 100.0  # prior sd of the mean ln lr*, so wide that there is in effect no prior
BEND_SD = 1.0  # prior sd of the slope of a squared column, so wide that there is in effect no prior
MAX_GROUPS = 64  # a grouping with more levels is left out; assumption: its shared errors then show up in the scatter


@dataclass(frozen=True)
class Regression:
    """ln lr* = level + slopes times the columns of the design, with errors that points of a model or trunk share."""

    design: Design
    posterior: Posterior
    level: float  # mean ln lr* of the points
    groups: tuple[dict[Key, int], ...]  # index of each model, and of each trunk if some model has several

    @classmethod
    def of(cls, points: Sequence[LawPoint], size: Size, *, batch: bool = True, bend: int | None = None) -> "Regression":
        """Fit the law to the points.

        With `batch`, the batch is a column if all points know theirs. `bend` is the index of a column whose square is
        added, to test whether the law bends.
        """
        batch = batch and all(point.batch_tokens is not None for point in points)
        places = [point.place for point in points]
        design = Design.of(places, size, batch=batch)
        x = design.fitted()
        priors = [(0.0, INTERCEPT_SD), *design.priors()]
        if bend is not None:
            x = np.column_stack([x, x[:, 1 + bend] ** 2])
            priors.append((0.0, BEND_SD))
        levels, labels = _group(places, trunks=batch)
        y = np.array([point.ln_lr for point in points])
        sd = np.array([point.sd for point in points])
        mean, spread = np.array(priors).T
        posterior = fit_posterior(x, y - y.mean(), sd, labels, mean, spread)
        return cls(design, posterior, float(y.mean()), levels)

    def predict(self, place: Place, *, level: float = LEVEL) -> tuple[float, float, float]:
        """ln lr* at a cell, and the low and high end of its prediction interval at `level`."""
        keys = (place.model_key, place.trunk_key)
        members = [levels.get(key) for levels, key in zip(self.groups, keys, strict=False)]
        values = self.posterior.predict(self.design.row(place), members, level=level)
        center, low, high = (self.level + value for value in values)
        return center, low, high

    def trend(self, place: Place) -> float:
        """ln lr* at a cell by the exponents alone, without the errors that its size and trunk share."""
        return float(self.level + self.posterior.mean @ self.design.row(place))

    @property
    def ln_k(self) -> float:
        """ln of the prefactor."""
        slopes = self.posterior.mean
        return float(self.level + slopes[0] - slopes[1:] @ self.design.center)

    def resampled(self, points: Sequence[LawPoint], n_boot: int, seed: int) -> Array:
        """Slopes [n_boot, columns] of fits to resamples of whole models, with the weights and priors of this fit."""
        _, of_model = _labels([point.place.model_key for point in points])
        x, y = self.design.fitted(), np.array([point.ln_lr for point in points]) - self.level
        priors = np.array([(0.0, INTERCEPT_SD), *self.design.priors()])
        weights = self.posterior.robustness / self.posterior.scatter**2
        models = int(of_model.max()) + 1
        normal, right = np.zeros((models, x.shape[1], x.shape[1])), np.zeros((models, x.shape[1]))
        np.add.at(normal, of_model, weights[:, None, None] * x[:, :, None] * x[:, None, :])
        np.add.at(right, of_model, (weights * y)[:, None] * x)
        rng = np.random.default_rng(seed)
        counts = rng.multinomial(models, np.full(models, 1 / models), size=n_boot).astype(float)
        precision = priors[:, 1] ** -2
        left = np.einsum("bm,mjk->bjk", counts, normal) + np.diag(precision)
        draws: Array = np.linalg.solve(left, (counts @ right + precision * priors[:, 0])[..., None])[:, 1:, 0]
        return draws


def _group(places: Sequence[Place], *, trunks: bool) -> tuple[tuple[dict[Key, int], ...], list[Labels]]:
    """The groupings: models, and with `trunks` also trunks if some model has several. Too large ones are left out."""
    groups = [_labels([place.model_key for place in places]), _labels([place.trunk_key for place in places])]
    if not trunks or len(groups[0][0]) == len(groups[1][0]):
        groups.pop()
    groups = [group for group in groups if len(group[0]) <= MAX_GROUPS]
    return tuple(levels for levels, _ in groups), [labels for _, labels in groups]


def _labels(keys: Sequence[Key]) -> tuple[dict[Key, int], Labels]:
    levels = {key: i for i, key in enumerate(sorted(set(keys)))}
    return levels, np.array([levels[key] for key in keys])
