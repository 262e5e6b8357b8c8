"""A simulated study with two targets, run once for all tests that only read it."""

import functools

from lrladder.benchmark.lab.simulated import SimulatedLab
from lrladder.benchmark.lab.truth import TrueLaw
from lrladder.benchmark.studies.regret.config import load_config
from lrladder.benchmark.studies.regret.results import LearningCurve, RegretResults
from lrladder.benchmark.studies.runner import run_on
from tests.paths import TWO_TARGETS


@functools.cache
def simulated() -> RegretResults:
    """With the recipes of its proposals, and training losses that fall with the tokens."""
    config = load_config(TWO_TARGETS)
    law = TrueLaw(k=50.0, u=0.4, v=0.3, mup_base=config.base.shape.n_active, mup_tokens=config.base.tokens)
    results: RegretResults = run_on(config, SimulatedLab(config.rungs, law))
    curves = (
        LearningCurve(
            rung=target.rung,
            entry=entry.name,
            seed=seed,
            tokens=tuple(range(0, target.tokens, target.tokens // 8)),
            losses=tuple((entry.loss or 3.0) + 1 / (1 + step) + 0.1 * seed for step in range(8)),
        )
        for target in results.targets
        for entry in target.paradigms
        for seed in (0, 1)
    )
    return results.model_copy(update={"learning_curves": tuple(curves)})
