"""Tuning at the targets themselves, as paradigms of a study. Each trial costs a run of the target."""

import math
from collections.abc import Callable, Sequence

from lrladder.paradigms.entry_lab import EntryLab
from lrladder.paradigms.lab import Lab, Measurement, Request, Rung
from lrladder.paradigms.paradigm import NoProposal, Paradigm, Proposal, Terms
from lrladder.paradigms.settings import TuningSettings
from lrladder.paradigms.strategies.baselines import RandomSearch, TpeSearch
from lrladder.paradigms.strategies.search import Strategy
from lrladder.paradigms.sweep.grid import first_lrs


class OnGrid:
    """A lab whose rungs can be run only at the LRs of a grid."""

    def __init__(self, lab: Lab, lrs: Sequence[float]) -> None:
        self._lab, self._lrs = lab, tuple(lrs)

    def measure(self, requests: Sequence[Request], *, payer: str) -> list[list[Measurement]]:
        return self._lab.measure(requests, payer=payer)

    def cost_flops(self, payer: str) -> float:
        return self._lab.cost_flops(payer)

    def flops(self, request: Request) -> float:
        return self._lab.flops(request)

    def lrs(self, rung: str) -> tuple[float, ...]:
        return self._lrs


class AtTarget(Paradigm):
    """Tunes each target on its own at its longest horizon, with a seed that is not used for scoring."""

    searches_targets = True

    def __init__(self, settings: TuningSettings, terms: Terms, make: Callable[[int, int], Strategy]) -> None:
        super().__init__(settings, terms)
        self._make = make
        self._tuned: dict[str, Strategy] = {}

    def search(self, lab: EntryLab, ladder: Sequence[Rung]) -> None:
        """Tune every target of the ladder. Raises NoProposal if every trial of a target diverged."""
        grid = first_lrs(self.settings)
        for rung in ladder:
            if rung.part == "target":
                there = lab if self.terms.is_replay else OnGrid(lab, grid)
                self._tuned[rung.name] = self._make(self.settings.trials, self.settings.seed)
                self._tuned[rung.name].search(there, [rung])

    def propose(self, rung: Rung, horizon: int) -> Proposal:
        """The best LR that was tried at the target. Raises NoProposal for a model that was not tuned."""
        if rung.name not in self._tuned:
            raise NoProposal(f"{self.terms.name}: {rung.name} has not been tuned")
        choice, longest = self._tuned[rung.name].propose(rung), max(rung.horizons)
        other = (f"tuned at {longest:,} tokens",) if horizon != longest else ()
        if not math.isfinite(choice.lr):
            raise NoProposal(f"{self.terms.name}: every trial at {rung.name} diverged")
        extrapolation = horizon / longest
        return Proposal(
            rung=rung.name, horizon=horizon, lr=choice.lr, extrapolation=extrapolation, flags=(*choice.flags, *other)
        )


def make_tpe(settings: TuningSettings, terms: Terms) -> Paradigm:
    """The paradigm `tpe`: Optuna's TPE at the target."""
    return AtTarget(settings, terms, lambda trials, seed: TpeSearch(trials, seed=seed))


def make_random(settings: TuningSettings, terms: Terms) -> Paradigm:
    """The paradigm `random`: random LRs of a grid at the target."""
    return AtTarget(settings, terms, lambda trials, seed: RandomSearch(trials, seed=seed))
