"""How far an entry's LR at a target is from divergence there."""

import math
from typing import NamedTuple

from lrladder.benchmark.studies.regret.results import ParadigmResult, RegretResults, TargetResult


class Margin(NamedTuple):
    """The lowest LR at which a run of the same parametrization diverged or spiked; None up to `highest`, the last."""

    lr: float
    unstable: float | None
    how: str  # what happened at `unstable`
    highest: float
    spikes_judged: bool  # whether any run was long enough to tell spikes of the loss

    @property
    def octaves(self) -> float:
        """From the entry's LR up to `unstable`, else up to `highest`."""
        return math.log2((self.unstable or self.highest) / self.lr)


def margin(results: RegretResults, target: TargetResult, entry: ParadigmResult) -> Margin | None:
    """None where nothing was run."""
    place = (target.rung, target.tokens, entry.parametrization)
    runs = [m for m in results.measurements if (m.rung, m.horizon, m.parametrization) == place and m.lr > 0]
    runs = [m for m in runs if m.verdict != "failed" and (not m.role_lrs or m.role_lrs == entry.role_lrs)]
    if not runs:
        return None
    bad = [(m.lr, "diverged") for m in runs if m.verdict == "diverged"]
    bad += [(m.lr, "had a spike of the loss") for m in runs if m.metrics.get("loss_spikes", 0) > 0]
    lowest = min(bad, default=(None, ""))
    judged = any(m.metrics.get("loss_spike_judged", 0) > 0 for m in runs)
    return Margin(entry.lr, lowest[0], lowest[1], max(m.lr for m in runs), judged)
