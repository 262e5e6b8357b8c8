"""Turns strategies, which search for one aim, into paradigms, which propose an LR for every target and horizon."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from lrladder.paradigms.entry_lab import EntryLab
from lrladder.paradigms.fitting import Fitting
from lrladder.paradigms.lab import Part, Rung, largest_aim
from lrladder.paradigms.paradigm import NOT_SEARCHED, ONLY_PROPOSALS, NoProposal, Paradigm, Proposal, Terms
from lrladder.paradigms.published import law_named
from lrladder.paradigms.settings import Confirm, ConstantSettings, FittingSettings, GridSettings, PublishedSettings
from lrladder.paradigms.strategies.baselines import AsPublished, ConstantBest, ConstantMedian, NearestCell, Refitted
from lrladder.paradigms.strategies.book import GridSpec
from lrladder.paradigms.strategies.ratio import PublishedRatio
from lrladder.paradigms.strategies.search import (
    Economy,
    EconomySpec,
    FactorSpec,
    FullGrid,
    LawSearch,
    SearchFactor,
    Strategy,
)
from lrladder.paradigms.sweep.bracket import Cell
from lrladder.paradigms.sweep.curve import Curve

MakeStrategy = Callable[[GridSpec, Rung, float | None], Strategy]  # takes the grid, the aim, and a budget in its runs


class AtHorizon(NamedTuple):
    """A rung with a single horizon, which need not be one of its own."""

    name: str
    part: Part
    n_total: int
    n_active: int
    batch_tokens: int
    horizons: tuple[int, ...]
    flops_per_token: int

    @classmethod
    def of(cls, rung: Rung, horizon: int) -> "AtHorizon":
        counts = rung.n_total, rung.n_active, rung.batch_tokens
        return cls(rung.name, rung.part, *counts, (horizon,), rung.flops_per_token)


class StrategyEntry(Paradigm):
    """A strategy that searches all proxies for the largest target or goal, and then proposes an LR for any."""

    def __init__(
        self,
        settings: GridSettings | FittingSettings | PublishedSettings,
        terms: Terms,
        make: MakeStrategy,
        *,
        longest_only: bool = False,
    ) -> None:
        super().__init__(settings, terms)
        self._make, self._longest_only = make, longest_only
        self._strategy: Strategy | None = None
        self._searched_flops = 0.0

    def search(self, lab: EntryLab, ladder: Sequence[Rung]) -> None:
        """Search the proxies. Raises NoProposal."""
        proxies: list[Rung] = [rung for rung in ladder if rung.part == "proxy"]
        if self._longest_only:
            proxies = [AtHorizon.of(rung, max(rung.horizons)) for rung in proxies]
        self._start(ladder).search(lab, proxies)
        self._searched_flops = lab.searched_flops
        self._keep()

    def learn(self, ladder: Sequence[Rung], curves: Mapping[Cell, Curve]) -> None:
        """Use stored curves instead of a search. Raises NoProposal for a strategy that fits no law."""
        strategy = self._start(ladder)
        if not isinstance(strategy, LawSearch):
            raise NoProposal(f"{self.terms.name}: {ONLY_PROPOSALS}")
        rungs = {rung.name: rung for rung in ladder}
        strategy.learn(rungs, curves)
        self._searched_flops = max(float(rungs[name].flops_per_token * horizon) for name, horizon in curves)
        self._keep()

    def propose(self, rung: Rung, horizon: int) -> Proposal:
        """The LR that the strategy chooses for the rung at this horizon. Raises NoProposal before a search."""
        if self._strategy is None:
            raise NoProposal(f"{self.terms.name}: {NOT_SEARCHED}")
        choice = self._strategy.propose(AtHorizon.of(rung, horizon))
        return Proposal(
            rung=rung.name,
            horizon=horizon,
            lr=choice.lr,
            lr_low=choice.lr_low,
            lr_high=choice.lr_high,
            # a strategy that runs nothing does not extrapolate
            extrapolation=rung.flops_per_token * horizon / self._searched_flops if self._searched_flops else 1.0,
            flags=choice.flags,
        )

    def _start(self, ladder: Sequence[Rung]) -> Strategy:
        aim = largest_aim(ladder)
        assert aim is not None  # a config has a target or a goal
        grid = GridSpec(self.settings.lr_guess, self.settings.factor, self.settings.seeds)
        self._strategy = self._make(grid, aim, self.terms.budget)
        return self._strategy

    def _keep(self) -> None:
        found: object = self._strategy
        if isinstance(found, LawSearch):
            self.law, self.curves = found.law, found.all_curves


def make_fitting(settings: FittingSettings, terms: Terms) -> Paradigm:
    """The paradigm `fitting`, with its strategy."""
    if settings.strategy == "full" and not terms.is_replay:
        return Fitting(settings, terms, confirm=settings.confirm)
    return StrategyEntry(settings, terms, partial(_LAWS[settings.strategy], confirm=settings.confirm))


def make_nearest_cell(settings: GridSettings, terms: Terms) -> Paradigm:
    """The paradigm `nearest_cell`: the best LR of the nearest proxy."""
    return StrategyEntry(settings, terms, lambda grid, aim, budget: NearestCell(grid, aim=aim), longest_only=True)


def make_constant(settings: ConstantSettings, terms: Terms) -> Paradigm:
    """The paradigm `constant`: one LR for all models."""
    if settings.by == "median":
        return StrategyEntry(settings, terms, lambda grid, aim, budget: ConstantMedian(grid))
    return StrategyEntry(settings, terms, lambda grid, aim, budget: ConstantBest(grid))


def make_published(settings: PublishedSettings, terms: Terms) -> Paradigm:
    """The paradigm `published`: a law from a paper."""
    law = law_named(settings.law)
    match settings.prefactor:
        case "proxy":
            return PublishedRatio(settings, terms)
        case "cells":
            return StrategyEntry(settings, terms, lambda grid, aim, budget: Refitted(law, grid))
        case "published":
            return StrategyEntry(settings, terms, lambda grid, aim, budget: AsPublished(law))


def _full(grid: GridSpec, aim: Rung, budget: float | None, *, confirm: Confirm) -> Strategy:
    return FullGrid(grid)


def _factor(grid: GridSpec, aim: Rung, budget: float | None, *, confirm: Confirm) -> Strategy:
    spec = FactorSpec(grid, confirm=confirm)
    return SearchFactor(spec if budget is None else replace(spec, target_runs=budget), aim=aim)


def _economy(grid: GridSpec, aim: Rung, budget: float | None, *, confirm: Confirm) -> Strategy:
    spec = EconomySpec(grid, confirm=confirm)
    return Economy(spec if budget is None else replace(spec, target_runs=budget), aim=aim)


def _active(grid: GridSpec, aim: Rung, budget: float | None, *, confirm: Confirm) -> Strategy:
    from lrladder.paradigms.strategies.active import Active, ActiveSpec  # scikit-learn, which takes half a second

    spec = ActiveSpec(grid)
    return Active(spec if budget is None else replace(spec, target_runs=budget), aim=aim)


_LAWS: dict[str, Callable[..., Strategy]] = {
    "full": _full,
    "search_factor": _factor,
    "economy": _economy,
    "active": _active,
}
