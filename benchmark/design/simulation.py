"""What interval to expect at the goal: the study's own search of Fitting, on laws that are drawn from the fit's priors.

It repeats what it is told: a power law from which sizes and single minima miss by as much as in published sweeps, and
noise. So it says what these runs can tell of such a law, and not that the law of the user's models is one.
"""

import math
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from lrladder.benchmark.lab.resolve import planned_flops
from lrladder.benchmark.lab.simulated import Bowl, SimulatedLab, TrueLaw
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.regret.making import entry_lab, make_paradigm
from lrladder.paradigms.lab import ParametrizationName, Rung
from lrladder.paradigms.laws.design import PRIORS
from lrladder.paradigms.laws.posterior import OWN_SD, SIZE_SD
from lrladder.paradigms.paradigm import NoProposal

STUDIES = 200
ENTRY = "fitting"


class Expected(NamedTuple):
    """Of simulated studies that answered. Widths are half of the 90% interval, in octaves."""

    studies: int
    answered: int
    half_width: float  # median
    low: float  # of the half width, 10% and 90% of studies
    high: float
    covered: float  # share whose interval holds the truth
    cost: float  # median of the search, in runs of the goal


class Scattered(TrueLaw):
    """A law that single minima miss by OWN_SD, and all minima of one size together by SIZE_SD (laws/posterior.py)."""

    seed: int

    def best(self, rung: Rung, horizon: int, parametrization: ParametrizationName) -> float:
        own = np.random.default_rng((self.seed, rung.n_active, rung.batch_tokens, horizon)).standard_normal()
        shared = np.random.default_rng((self.seed, rung.n_active)).standard_normal()
        return super().best(rung, horizon, parametrization) * math.exp(OWN_SD * own + SIZE_SD * shared)


def expected(config: RegretConfig, *, guess: float, spread: float, studies: int = STUDIES, seed: int = 0) -> Expected:
    """`spread`: of ln lr* about the guess at the base, as published laws scatter."""
    rng = np.random.default_rng(seed)
    (goal,) = config.rungs.goals
    horizon = max(goal.horizons)
    run = goal.flops_per_token * horizon
    halves, covered, costs = [], [], []
    for lab in _labs(config, guess, spread, studies, rng):
        paradigm = make_paradigm(config, ENTRY)
        try:
            paradigm.search(entry_lab(config, ENTRY, lab, paradigm), config.rungs)
            answer = paradigm.propose(goal, horizon)
        except NoProposal:
            continue
        assert answer.lr_low is not None
        assert answer.lr_high is not None
        halves.append(math.log2(answer.lr_high / answer.lr_low) / 2)
        covered.append(answer.lr_low <= lab.law.best(goal, horizon, "sp") <= answer.lr_high)
        costs.append(lab.cost_flops(ENTRY) / run)
    if not halves:
        return Expected(studies, 0, math.inf, math.inf, math.inf, 0.0, 0.0)
    low, middle, high = np.quantile(halves, (0.1, 0.5, 0.9))
    return Expected(studies, len(halves), middle, low, high, float(np.mean(covered)), float(np.median(costs)))


def _labs(
    config: RegretConfig, guess: float, spread: float, studies: int, rng: np.random.Generator
) -> Iterator[SimulatedLab]:
    base = config.rungs.rung(config.base_rung)
    for i in range(studies):
        u, v, w = (rng.normal(PRIORS[name].mean, PRIORS[name].sd) for name in ("size", "tokens", "batch"))
        level = math.log(guess) + spread * rng.standard_normal()
        ln_k = level - u * math.log(base.n_active) - v * math.log(max(base.horizons)) - w * math.log(base.batch_tokens)
        law = Scattered(k=math.exp(ln_k), u=-u, v=-v, w=w, seed=i)
        flops = partial(planned_flops, setup=config)
        yield SimulatedLab(config.rungs, law, flops=flops, seed=i, **Bowl().model_dump())
