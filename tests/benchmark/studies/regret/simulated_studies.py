"""Simulated regret studies on arrays: how often the rule of decision names and misses the wrong ones.

`python -m tests.benchmark.studies.regret.simulated_studies` prints the table of docs/decision.md with 1,000 studies a
cell, and `... simulated_studies 1000 lean` that of lean sweeps. A study has two targets, over which its noise is
pooled, two or four parametrizations with a sweep of 4 LRs at factor 2 each, and entries 0.3 octaves from the best LR,
whose true losses differ by what is planted.
"""

import sys
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from lrladder.benchmark.studies.regret.scoring.components import Run, squares
from lrladder.benchmark.studies.regret.scoring.decision import WINNER_LEVEL, behind_level

Array = NDArray[np.float64]
TARGETS, GROUPS, LRS = 2, 2, 4
BOWL = 40 / 7  # curvature in sds per octave^2: 40 millinats where a run scatters by 7, as in the preset `cpu`
OFF = 0.3  # octaves between an entry and the best LR
NEAR = 0.5  # octaves; beyond, `quiet` and `loud` differ
SMOOTH, LENGTH = 0.6, 0.65  # share of the variance of `cpu` that is a smooth curve per seed, and its length, octaves
# sd of a run as it enters the difference of two entries, in the sd of a run near the best
UNITS = {"even": 1.0, "quiet": 1.0, "loud": 1.0, "t3": 1.0, "inter": 2**0.5, "prop": 0.76, "cpu": 0.71}
ENDS = {"quiet": 1 / 3, "loud": 3.0}


class Sampled(NamedTuple):
    """Many studies of one cell: losses in sds, without what is planted."""

    entries: Array  # (studies, targets, entries, seeds)
    near: Array  # (studies, targets, groups, sweep seeds): the swept LR nearest to the fitted best
    groups: NDArray[np.int64]  # of each entry


class Estimates(NamedTuple):
    """Of each study: variance of a run, of the interaction, and degrees of freedom within and across groups."""

    s2: Array
    tau2: Array
    dof: Array
    dof_across: Array


class Rates(NamedTuple):
    """Shares of verdicts: any false claim, in the worst of three truths; the best named; intervals that cover."""

    false: float
    found: float
    covered: float


def sample(
    pattern: str,
    entries: int,
    seeds: int,
    sweep_seeds: int,
    studies: int,
    rng: np.random.Generator,
    n_groups: int = GROUPS,
    lean: bool = False,
) -> Sampled:
    """A lean sweep has the LR of an entry in its middle, and one half step, on the side where the loss is lower."""
    if lean:
        return _sample_lean(pattern, entries, seeds, sweep_seeds, studies, rng, n_groups)
    shape = (studies, TARGETS)
    groups = np.arange(entries) % n_groups
    off = OFF * rng.choice([-1.0, 1.0], (*shape, entries))
    grid = rng.uniform(-0.5, 0.5, (*shape, n_groups, 1)) + np.arange(LRS) - (LRS - 1) / 2
    where = np.concatenate([off, grid.reshape(*shape, -1)], axis=-1)  # octaves from the best LR, of every run
    which = np.concatenate([groups, np.repeat(np.arange(n_groups), LRS)])
    noise = _noise(pattern, where, which, seeds, rng) + 5 * rng.standard_normal((*shape, 1, seeds))
    swept = noise[:, :, entries:, :sweep_seeds].reshape(*shape, n_groups, LRS, sweep_seeds)
    curve = swept.mean(-1) + BOWL * grid**2
    nearest = np.abs(grid - _vertex(grid, curve)).argmin(-1)[..., None, None]
    near = np.take_along_axis(swept, nearest, axis=3)[:, :, :, 0]
    return Sampled(noise[:, :, :entries], near, groups)


def _sample_lean(
    pattern: str, entries: int, seeds: int, sweep_seeds: int, studies: int, rng: np.random.Generator, n_groups: int
) -> Sampled:
    shape = (studies, TARGETS)
    groups = np.arange(entries) % n_groups
    off = OFF * rng.choice([-1.0, 1.0], (*shape, entries))
    grid = off[..., :n_groups, None] + np.array([-1.0, -0.5, 0.5, 1.0])  # beside the first entry of each group
    where = np.concatenate([off, grid.reshape(*shape, -1)], axis=-1)
    which = np.concatenate([groups, np.repeat(np.arange(n_groups), grid.shape[-1])])
    noise = _noise(pattern, where, which, seeds, rng) + 5 * rng.standard_normal((*shape, 1, seeds))
    swept = noise[:, :, entries:, :sweep_seeds].reshape(*shape, n_groups, grid.shape[-1], sweep_seeds)
    first = swept[..., 0] + BOWL * grid**2
    half = np.where(first[..., 0] < first[..., -1], 1, 2)[..., None, None]
    return Sampled(noise[:, :, :entries], np.take_along_axis(swept, half, axis=3)[:, :, :, 0], groups)


def _noise(pattern: str, where: Array, which: NDArray[np.int64], seeds: int, rng: np.random.Generator) -> Array:
    """(studies, targets, runs, seeds), in the sd of a run near the best LR."""
    shape = (*where.shape, seeds)
    plain = rng.standard_t(3, shape) / 3**0.5 if pattern == "t3" else rng.standard_normal(shape)
    if pattern in ENDS:
        return plain * np.where(np.abs(where) > NEAR, ENDS[pattern], 1.0)[..., None]
    if pattern == "prop":
        return plain * (0.4 + 1.2 * np.abs(where))[..., None]
    if pattern == "inter":
        return plain + rng.standard_normal((*where.shape[:2], which.max() + 1, seeds))[:, :, which]
    if pattern == "cpu":
        distance = where[..., :, None] - where[..., None, :]
        covariance = np.exp(-((distance / LENGTH) ** 2) / 2) + 1e-9 * np.eye(where.shape[-1])
        smooth = np.linalg.cholesky(covariance) @ rng.standard_normal(shape)
        return (1 - SMOOTH) ** 0.5 * plain + SMOOTH**0.5 * smooth
    return plain


def _vertex(grid: Array, losses: Array) -> Array:
    """Of the least-squares parabola over the last axis, kept within the LRs."""
    x = np.arange(LRS) - (LRS - 1) / 2
    slope = losses @ x / (x @ x)
    square = x**2 - np.mean(x**2)
    curvature = np.maximum(losses @ square / (square @ square), 1e-9)
    return grid.mean(-1, keepdims=True) + np.clip(-slope / (2 * curvature), x[0], x[-1])[..., None]


def estimate(drawn: Sampled) -> Estimates:
    """With the project's own sums of squares, for all studies at once."""
    studies, _, entries, seeds = drawn.entries.shape
    runs = [Run(str(drawn.groups[j]), j, s) for j in range(entries) for s in range(seeds)]
    runs += [Run(str(g), "swept", s) for g in range(drawn.near.shape[2]) for s in range(drawn.near.shape[-1])]
    losses = np.concatenate([a.reshape(studies, TARGETS, -1) for a in (drawn.entries, drawn.near)], axis=-1)
    sums = squares(runs, losses)
    dof, dof_interaction = TARGETS * sums.dof, TARGETS * sums.interaction_dof
    return estimates(sums.rest.sum(-1), dof, sums.interaction.sum(-1), dof_interaction, TARGETS * sums.scale)


def estimates(rest: Array, dof: int, interaction: Array, dof_interaction: int, scale: float) -> Estimates:
    """From sums of squares over all targets, as `components` has them."""
    excess = interaction - rest / dof * dof_interaction
    pooled = excess <= 0
    s2 = np.where(pooled, (rest + interaction) / (dof + dof_interaction), rest / dof)
    tau2 = np.where(pooled, 0.0, excess / (scale or 1.0))
    dofs = np.where(pooled, dof + dof_interaction, dof)
    return Estimates(s2, tau2, dofs, (s2 + tau2) ** 2 / (s2**2 / dofs + tau2**2 / max(1, dof_interaction)))


def decide_all(
    means: Array, groups: NDArray[np.int64], seeds: int, found: Estimates
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The rule on arrays: each verdict's winner, -1 for none, and who is behind. `means`: (studies, targets, m)."""
    m = means.shape[-1]
    best = means.argmin(-1)
    gaps = means - means.min(-1, keepdims=True)
    same = groups[best][..., None] == groups
    se = np.sqrt(2 / seeds * np.where(same, found.s2[:, None, None], (found.s2 + found.tau2)[:, None, None]))
    dof = np.where(same, found.dof[:, None, None], found.dof_across[:, None, None])
    is_best = np.arange(m) == best[..., None]
    wins = (is_best | (gaps > special.stdtrit(dof, (1 + WINNER_LEVEL) / 2) * se)).all(-1)
    order = means.argsort(-1)
    behind = np.zeros(means.shape, bool)
    going = ~wins
    for rank in range(m, 1, -1):
        place = order[..., rank - 1 : rank]
        gap, width, df = (np.take_along_axis(a, place, -1)[..., 0] for a in (gaps, se, dof))
        going &= gap > special.stdtrit(df, (1 + behind_level(rank)) / 2) * width
        np.put_along_axis(behind, place, going[..., None], -1)
    return np.where(wins, best, -1), behind


def planted(entries: int, unit: float) -> dict[str, tuple[Array, int]]:
    """True losses above the best by truth, and how many are tied at the best."""
    rank = np.arange(entries)
    half = max(2, entries // 2)
    return {
        "all equal": (np.zeros(entries), entries),
        "two tied": (np.where(rank < 2, 0.0, 8 * unit), 2),
        "half tied": (np.where(rank < half, 0.0, 4 * unit), half),
        "one better": (np.where(rank < 1, 0.0, 3 * unit), 1),
    }


def rates(
    pattern: str,
    entries: int,
    seeds: int,
    sweep_seeds: int,
    studies: int,
    seed: int = 0,
    n_groups: int = GROUPS,
    lean: bool = False,
) -> Rates:
    rng = np.random.default_rng([seed, list(UNITS).index(pattern), entries, seeds, sweep_seeds])
    drawn = sample(pattern, entries, seeds, sweep_seeds, studies, rng, n_groups, lean)
    found = estimate(drawn)
    means, false, power = drawn.entries.mean(-1), [], 0.0
    for truth, (above, tied) in planted(entries, UNITS[pattern]).items():
        place = rng.permuted(np.broadcast_to(np.arange(entries), means.shape), axis=-1)
        winner, behind = decide_all(means + above[place], drawn.groups, seeds, found)
        if truth == "one better":
            power = float(
                np.mean(np.where(winner < 0, -1, np.take_along_axis(place, winner[..., None], -1)[..., 0]) == 0)
            )
        else:
            false.append(float(np.mean((winner >= 0) | (behind & (place < tied)).any(-1))))
    return Rates(max(false), power, _coverage(means, drawn.groups, seeds, found))


def _coverage(means: Array, groups: NDArray[np.int64], seeds: int, found: Estimates) -> float:
    """Of the 90% intervals of all differences of two entries, whose true value is 0."""
    first, second = np.triu_indices(means.shape[-1], 1)
    same = groups[first] == groups[second]
    s2, tau2, dof, across = (a[:, None, None] for a in found)
    se = np.sqrt(2 / seeds * np.where(same, s2, s2 + tau2))
    half = special.stdtrit(np.where(same, dof, across), 0.95) * se
    return float(np.mean(np.abs(means[..., first] - means[..., second]) <= half))


if __name__ == "__main__":
    studies, lean = int(sys.argv[1]) if len(sys.argv) > 1 else 1000, "lean" in sys.argv[2:]
    print(f"{studies} studies a cell, {'lean' if lean else 'full'} sweeps", end=": ")
    print("false claims / best found at 3 sds / 90% intervals that cover, %")
    shapes = [(n, *seeds, GROUPS) for seeds in ((2, 2), (3, 2), (3, 3), (4, 2), (4, 4)) for n in (2, 4, 6, 8)]
    shapes += [(4, 3, 2, 4), (8, 3, 2, 4)]
    for entries, seeds, sweep_seeds, n_groups in shapes:
        cells = {p: rates(p, entries, seeds, sweep_seeds, studies, n_groups=n_groups, lean=lean) for p in UNITS}
        row = "  ".join(f"{p} {100 * r.false:.1f}/{100 * r.found:.1f}/{100 * r.covered:.1f}" for p, r in cells.items())
        shape = f"seeds {seeds}, sweep {sweep_seeds}, entries {entries}, parametrizations {n_groups}"
        print(f"{shape}:  {row}", flush=True)
