"""Finds how far the LR of an entry at a target is from the LRs at which runs diverge there."""

import math
from typing import NamedTuple

from lrladder.benchmark.studies.regret.results import ParadigmResult, RegretResults, TargetResult
from lrladder.reports.regret import analysis


class Margin(NamedTuple):
    """The LR of an entry, and the lowest LR at which a run of the same arm diverged or had a spike."""

    lr: float
    unstable: float | None  # None: no run diverged or had a spike
    how: str  # what happened at `unstable`
    highest: float  # the highest LR that was run
    spikes_judged: bool  # whether any run was long enough to judge spikes of the loss

    @property
    def octaves(self) -> float:
        """Octaves from the LR of the entry up to `unstable`, or up to `highest` if there is none."""
        return math.log2((self.unstable or self.highest) / self.lr)


def margin(results: RegretResults, target: TargetResult, entry: ParadigmResult) -> Margin | None:
    """The margin of an entry at a target; None if nothing was run there."""
    place = (target.rung, target.tokens, entry.parametrization)
    runs = [m for m in analysis.cells(results).get(place, ()) if m.lr > 0]
    runs = [m for m in runs if m.verdict != "failed" and (not m.role_lrs or m.role_lrs == entry.role_lrs)]
    if not runs:
        return None
    bad = [(m.lr, "diverged") for m in runs if m.verdict == "diverged"]
    bad += [(m.lr, "had a spike of the loss") for m in runs if m.metrics.get("loss_spikes", 0) > 0]
    lowest = min(bad, default=(None, ""))
    judged = any(m.metrics.get("loss_spike_judged", 0) > 0 for m in runs)
    return Margin(entry.lr, lowest[0], lowest[1], max(m.lr for m in runs), judged)
