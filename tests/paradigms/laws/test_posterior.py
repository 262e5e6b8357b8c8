"""The posterior of a law against the textbook's: one normal distribution of all points, without any algebra of blocks.

The model (docs/fitting.md): y = x b + g[model] + h[trunk] + e. Its constants are assumptions; they stand here again.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from lrladder.paradigms.laws.posterior import Posterior, fit_posterior

Array = NDArray[np.float64]
KAPPAS, TAUS, RHOS = (0.5, 0.7, 1.0, 1.4), (0.0, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64), (0.0, 0.5, 1.0, 2.0)
FLOOR = 1e-3  # of an sd
PRIOR_MEAN, PRIOR_SD = np.array([0.0, -0.45, 0.5]), np.array([100.0, 0.25, 0.3])
OWN_SD, SIZE_SD = 0.12, 0.15  # of a prediction, in addition


class Case(NamedTuple):
    x: Array
    y: Array
    sd: Array
    groups: list[NDArray[np.int64]]


def case(*, trunks: bool, outlier: float = 0.0) -> Case:
    rng = np.random.default_rng(4)
    models, own = np.repeat(np.arange(4), 3), np.tile([0, 0, 1], 4)
    x = np.column_stack([np.ones(12), rng.normal(0, 1.5, 12), rng.normal(0, 1, 12)])
    sd = rng.uniform(0.02, 0.3, 12)
    y = x @ [0.3, -0.3, 0.2] + 0.2 * rng.standard_normal(4)[models] + sd * rng.standard_normal(12)
    y[4] += outlier
    return Case(x, y, sd, [models, 2 * models + own] if trunks else [models])


def fitted(of: Case) -> Posterior:
    return fit_posterior(of.x, of.y, of.sd, of.groups, PRIOR_MEAN, PRIOR_SD)


class Part(NamedTuple):
    """One combination of error sizes: its posterior weight (not normed), and what it says of a point elsewhere."""

    log_weight: float
    slopes: Array
    slopes_cov: Array
    mean: float
    sd: float


def textbook(of: Case, robustness: Array, at: Array, members: list[int | None]) -> list[Part]:
    """By the distribution of all points, and of a point at `at`, in each combination of kappa, tau and rhos."""
    n, parts = len(of.y), []
    rows = np.vstack([of.x, at])
    for kappa, tau, *rhos in itertools.product(KAPPAS, TAUS, *[RHOS] * len(of.groups)):
        noise = kappa**2 * (of.sd**2 + FLOOR**2) + tau**2
        typical = stats.hmean(noise)
        cov = rows @ np.diag(PRIOR_SD**2) @ rows.T
        cov[:n, :n] += np.diag(noise / robustness)
        cov[n, n] += tau**2 + 0.7**2 * kappa**2 * stats.hmean(of.sd**2 + FLOOR**2) + OWN_SD**2
        for i, (labels, member, rho) in enumerate(zip(of.groups, members, rhos, strict=True)):
            names = np.append(labels, -1 if member is None else member)
            cov += max(rho, FLOOR) ** 2 * typical * (names[:, None] == names)
            cov[n, n] += SIZE_SD**2 if member is None and i == 0 else 0.0
        off = of.y - of.x @ PRIOR_MEAN
        prior = -0.5 * (math.log(kappa) / 0.5) ** 2 + (math.log(4.0) if tau == 0 else 0.0) - tau / 0.3
        prior -= sum(math.log(1 + (rho / 0.5) ** 2) for rho in rhos)  # half-Cauchy
        gain = cov[:, :n] @ np.linalg.inv(cov[:n, :n])
        to_slopes = np.diag(PRIOR_SD**2) @ of.x.T @ np.linalg.inv(cov[:n, :n])
        parts.append(
            Part(
                prior - 0.5 * float(off @ np.linalg.solve(cov[:n, :n], off) + np.linalg.slogdet(cov[:n, :n])[1]),
                PRIOR_MEAN + to_slopes @ off,
                np.diag(PRIOR_SD**2) - to_slopes @ of.x @ np.diag(PRIOR_SD**2),
                float(at @ PRIOR_MEAN + gain[n] @ off),
                math.sqrt(cov[n, n] - gain[n] @ cov[:n, n]),
            )
        )
    return parts


def weights_of(parts: list[Part]) -> Array:
    logs = np.array([part.log_weight for part in parts])
    weights: Array = np.exp(logs - logs.max())
    return weights / weights.sum()


CASES = [case(trunks=False), case(trunks=True), case(trunks=True, outlier=4.0)]


@pytest.mark.parametrize("of", CASES, ids=["models", "trunks", "outlier"])
def test_slopes_are_the_textbooks(of: Case) -> None:
    found = fitted(of)
    parts = textbook(of, found.robustness, np.zeros(3), [None] * len(of.groups))
    weights = weights_of(parts)
    mean = weights @ np.array([part.slopes for part in parts])
    second = weights @ np.array([np.diag(part.slopes_cov) + part.slopes**2 for part in parts])
    assert found.weights == pytest.approx(weights, abs=1e-9)
    assert found.mean == pytest.approx(mean, rel=1e-6)
    assert found.sd == pytest.approx(np.sqrt(second - mean**2), rel=1e-5)


@pytest.mark.parametrize("members", [[None, None], [1, None], [1, 3]], ids=["new model", "new trunk", "known"])
def test_a_prediction_is_the_textbooks_mixture(members: list[int | None]) -> None:
    of, at = CASES[2], np.array([1.0, 3.0, -1.0])
    found = fitted(of)
    parts = textbook(of, found.robustness, at, members)
    weights, means, sds = weights_of(parts), *np.array([(part.mean, part.sd) for part in parts]).T
    for level in (0.5, 0.9, 0.99):
        center, *ends = found.predict(at, members, level=level)
        assert center == pytest.approx(float(weights @ means), abs=1e-6)
        for end, share in zip(ends, ((1 - level) / 2, (1 + level) / 2), strict=True):
            assert weights @ stats.norm.cdf((end - means) / sds) == pytest.approx(share, abs=1e-7)


def test_each_point_weighs_as_under_students_t_about_the_law_and_its_shared_errors() -> None:
    """(4 + 1) / (4 + z^2), z the residual in sds of the point (Lange, Little & Taylor 1989); after at most 6 rounds."""
    of = CASES[2]
    found = fitted(of)
    rows = np.column_stack([of.x, *(np.eye(labels.max() + 1)[labels] for labels in of.groups)])
    z = (of.y - rows @ (found.weights @ found.coef)) / found.scatter
    assert found.robustness == pytest.approx(5 / (4 + z**2), abs=0.04)
    assert found.robustness[4] < 0.15 < 0.9 < np.delete(found.robustness, 4).min()
    noise = [
        kappa**2 * (of.sd**2 + FLOOR**2) + tau**2 for kappa, tau, *_ in itertools.product(KAPPAS, TAUS, RHOS, RHOS)
    ]
    assert found.scatter == pytest.approx(np.sqrt(found.weights @ np.array(noise)), rel=1e-9)


def test_stated_sds_are_taken_as_they_are_where_points_are_many() -> None:
    """So a tenth of the work is left: kappa alone is 1."""
    rng = np.random.default_rng(0)
    x, groups = np.column_stack([np.ones(1001), rng.normal(size=1001)]), [np.arange(1001) % 3]
    few = fit_posterior(x[:1000], x[:1000, 1], np.full(1000, 0.1), [groups[0][:1000]], np.zeros(2), np.ones(2))
    many = fit_posterior(x, x[:, 1], np.full(1001, 0.1), groups, np.zeros(2), np.ones(2))
    assert (len(few.weights), len(many.weights)) == (4 * 7 * 4, 7 * 4)
