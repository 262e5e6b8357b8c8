"""Predicts how wide Fitting's interval at the goal will be: simulates the study's search on many random laws.

A law is a power law with exponents drawn from the priors of `lrladder fit`. Sizes and single minima deviate from it as
in published sweeps, and losses are noisy. So the result is what the study can find out if such a law holds. It is no
evidence that one holds for the user's models.
"""

import math
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from lrladder.benchmark.lab.resolve import planned_flops
from lrladder.benchmark.lab.simulated import SimulatedLab
from lrladder.benchmark.lab.truth import Bowl, TrueLaw
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.regret.making import entry_lab, make_paradigm
from lrladder.paradigms.lab import ParametrizationName, Rung
from lrladder.paradigms.laws.design import PRIORS
from lrladder.paradigms.laws.posterior import OWN_SD, SIZE_SD
from lrladder.paradigms.paradigm import NoProposal

STUDIES = 200  # assumption: a share of answers then has a standard error of at most 4%
ENTRY = "fitting"  # the entry of a designed study (study_text.py) whose search is simulated


class Expected(NamedTuple):
    """The outcome of the simulated studies; all but `studies` and `answered` is over those that gave an LR.

    Half widths are half of the 90% interval, in octaves. They are infinite if no study gave an LR.
    """

    studies: int
    answered: int  # studies that gave an LR
    half_width: float  # median
    low: float  # 10% quantile of the half width
    high: float  # 90% quantile of the half width
    covered: float  # share of the intervals that hold the true best LR
    cost: float  # median cost of the search, in runs of the goal


class Scattered(TrueLaw):
    """A power law with errors in ln lr: one of each minimum (sd OWN_SD), and one of each model size (sd SIZE_SD)."""

    seed: int

    def best(self, rung: Rung, horizon: int, parametrization: ParametrizationName) -> float:
        own = np.random.default_rng((self.seed, rung.n_active, rung.batch_tokens, horizon)).standard_normal()
        shared = np.random.default_rng((self.seed, rung.n_active)).standard_normal()
        return super().best(rung, horizon, parametrization) * math.exp(OWN_SD * own + SIZE_SD * shared)


def expected(config: RegretConfig, *, guess: float, spread: float, studies: int = STUDIES, seed: int = 0) -> Expected:
    """Simulate `studies` searches of the entry `fitting`, each on another random law.

    `guess` and `spread` are the mean, as an LR, and the standard deviation of ln lr* at the base and its longest
    horizon.
    """
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
