"""The LR around which the oracle sweeps an arm at a target."""

import math
from collections.abc import Iterable
from statistics import fmean

from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.paradigms.paradigm import Proposal


def sweep_middle(config: RegretConfig, proposals: Iterable[Proposal], rung: str, label: str) -> float:
    """An LR of the sweep's grid, from which all others follow: the guess, or for a lean sweep that of a proposal.

    A lean sweep shares the runs of the proposal of its arm that is nearest, in ln lr, to the mean of their distinct
    LRs. Which one it is depends on no loss that is scored. A study that is continued to longer horizons keeps it.
    """
    own = sorted({p.lr for p in proposals if (p.rung, p.parametrization) == (rung, label)})
    if not config.validation.oracle_lean or not own:
        return config.oracle_guess(label)
    mean = fmean(map(math.log, own))
    return min(own, key=lambda lr: abs(math.log(lr) - mean))
