"""Searches on small cells before a law is fitted: the full grid, the search factor, and the economy plan."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from lrladder.paradigms.extrapolation import far_flags
from lrladder.paradigms.lab import Lab, Rung
from lrladder.paradigms.laws.law import Law, LawPoint, fit_law
from lrladder.paradigms.paradigm import NO_MINIMUM, NOT_SEARCHED, NoProposal
from lrladder.paradigms.settings import Confirm
from lrladder.paradigms.strategies.book import OPENING, Block, Book, GridSpec, fixed_lrs
from lrladder.paradigms.strategies.branches import predicted_curves
from lrladder.paradigms.sweep.bracket import Cell
from lrladder.paradigms.sweep.curve import Curve

GRID = GridSpec()  # the LRs for a lab that has no fixed ones


class Choice(NamedTuple):
    """An LR for a target, its 90% interval if the strategy has one, and texts that say what weakens it."""

    lr: float
    lr_low: float | None
    lr_high: float | None
    flags: tuple[str, ...] = ()


class Strategy(Protocol):
    """A way to search small cells for one aim, and then to choose an LR. Both methods raise NoProposal."""

    name: str

    def search(self, lab: Lab, rungs: Sequence[Rung]) -> None:
        """Ask the lab for runs of these rungs."""
        ...

    def propose(self, target: Rung) -> Choice:
        """The LR for the longest horizon of a target, without any further run."""
        ...


class LawSearch:
    """The common part of the searches here: a law is fitted to the bracketed minima, and it gives the LR."""

    name: str

    def __init__(self, grid: GridSpec) -> None:
        self.grid = grid
        self.curves: dict[Cell, Curve] = {}
        self.law: Law | None = None
        self._searched_flops = 0.0

    def propose(self, target: Rung) -> Choice:
        """The law's LR at the target's longest horizon. Raises NoProposal before a search."""
        if self.law is None:
            raise NoProposal(f"{self.name}: {NOT_SEARCHED}")
        tokens, n_total, batch = max(target.horizons), target.n_total, target.batch_tokens
        found = self.law.predict(target.n_active, tokens, n_total=n_total, batch_tokens=batch)
        flags = self.law.flags_at(target.n_active, tokens, n_total=n_total, batch_tokens=batch)
        flags = self.law.flags_by(batch) + flags
        flags += far_flags(run_flops(target) / self._searched_flops)
        return Choice(*found, flags + tuple(f"left out of the law: {cell}" for cell in self._left_out()))

    @property
    def all_curves(self) -> dict[Cell, Curve]:
        """The curves to which the law was fitted: measured ones and, for some strategies, predicted ones."""
        return self.curves

    def learn(self, rungs: Mapping[str, Rung], curves: Mapping[Cell, Curve]) -> None:
        """Fit the law to stored curves. Raises NoProposal if no minimum is bracketed."""
        self.curves = dict(curves)
        points = points_of(rungs, self.curves)
        if not points:
            raise NoProposal(f"{self.name}: {NO_MINIMUM}")
        self._searched_flops = max(float(rungs[name].flops_per_token * horizon) for name, horizon in self.curves)
        self.law = fit_law(points)

    def _learn(self, book: Book) -> None:
        self.curves = book.curves()
        points = points_of(book.rungs, self.curves)
        if not points:
            reasons = "; ".join(self._left_out()) or "no cell can be searched within the budget"
            raise NoProposal(f"{self.name}: {NO_MINIMUM} ({reasons})")
        self._searched_flops = max(map(book.run_flops, self.curves))
        self.law = fit_law(points)

    def _left_out(self) -> list[str]:
        return [f"{name}: {curve.status}" for (name, _), curve in self.curves.items() if curve.lr_best is None]


class FullGrid(LawSearch):
    """Every LR of every cell, at any cost. If the lab runs any LR: five LRs, and more until a minimum is bracketed."""

    name = "fitting"

    def __init__(self, grid: GridSpec = GRID) -> None:
        super().__init__(grid)

    def search(self, lab: Lab, rungs: Sequence[Rung]) -> None:
        """Search all cells, and fit the law. Raises NoProposal if no minimum is bracketed."""
        self._learn(full_grid(lab, rungs, self.grid, payer=self.name))


def full_grid(lab: Lab, rungs: Sequence[Rung], grid: GridSpec, *, payer: str) -> Book:
    """Ask for every LR of every cell, and return the book of these runs."""
    book = Book(lab, rungs, grid, payer=payer)
    blocks = []
    for name, horizon in book.cells:
        lrs = fixed_lrs(lab, name) or [lr for lr, _ in book.options((name, horizon), math.log(grid.lr_guess))]
        blocks.append(Block(name, tuple(sorted(lrs)), (horizon,), grid.seeds[0]))
    book.ask(blocks)
    book.close(budget=math.inf)
    book.confirm(budget=math.inf)
    return book


@dataclass(frozen=True)
class FactorSpec:
    """The size of the search factor's search (arXiv 2601.05049), and its budget."""

    grid: GridSpec = field(default_factory=GridSpec)
    horizons: int = 3  # C_D, horizons of each size
    lrs: int = 3  # C_eta, LRs of each cell; more are asked for if these do not bracket the minimum
    target_runs: float = 5.0  # the budget, in runs of the aim; assumption
    confirm: Confirm = "always"


class SearchFactor(LawSearch):
    """A search of a few horizons per size, and of a few LRs near the expected best: O(n C_D C_eta) runs, not O(n^3).

    The curves of other horizons are predicted if the law of loss against tokens can be trusted there. `planned_flops`
    is the cost of the search before sweeps are extended, and before the budget limits it.
    """

    name = "search_factor"

    def __init__(self, spec: FactorSpec = FactorSpec(), *, aim: Rung) -> None:
        super().__init__(spec.grid)
        self.spec, self.aim = spec, aim
        self.planned_flops = 0.0
        self.predicted: dict[Cell, Curve] = {}

    @property
    def all_curves(self) -> dict[Cell, Curve]:
        """The curves of searched cells and those with predicted losses."""
        return {**self.curves, **self.predicted}

    def search(self, lab: Lab, rungs: Sequence[Rung]) -> None:
        """Search the smallest sizes first, and fit the law. Raises NoProposal if no minimum is bracketed."""
        book = Book(lab, rungs, self.grid, payer=self.name)
        budget = self.spec.target_runs * run_flops(self.aim)
        chosen = [cell for size in by_size(book) for cell in _spread(size, self.spec.horizons)]
        self.planned_flops = self.spec.lrs * sum(map(book.run_flops, chosen))
        for size in by_size(book):
            opened = [opening(book, cell, lrs=self.spec.lrs) for cell in size if cell in chosen]
            book.ask((block for block in opened if block is not None), budget=budget)
            book.close(budget=budget)
        book.confirm(budget=budget, when=self.spec.confirm)
        self._learn(book)
        assert self.law is not None
        for size in by_size(book):
            self.predicted |= predicted_curves(book, self.curves, size)
        if self.predicted:
            self.law = fit_law([*self.law.points, *points_of(book.rungs, self.predicted)])


@dataclass(frozen=True)
class EconomySpec:
    """The grid of the economy plan, and its budget."""

    grid: GridSpec = field(default_factory=GridSpec)
    target_runs: float = 0.6  # the budget, in runs of the aim; assumption
    confirm: Confirm = "always"


class Economy(LawSearch):
    """The shortest horizon of each size and all horizons of the smallest size, three LRs each, cheapest first.

    Then it searches other cells, as far as the budget allows. The horizons of one rung are opened together, so that
    they share trunks.
    """

    name = "economy"

    def __init__(self, spec: EconomySpec = EconomySpec(), *, aim: Rung) -> None:
        super().__init__(spec.grid)
        self.spec, self.aim = spec, aim

    def search(self, lab: Lab, rungs: Sequence[Rung]) -> None:
        """Search within the budget, and fit the law. Raises NoProposal if no minimum is bracketed."""
        book = Book(lab, rungs, self.grid, payer=self.name)
        budget = self.spec.target_runs * run_flops(self.aim)
        sizes = by_size(book)
        legs = {*sizes[0], *(size[0] for size in sizes)}
        for part in ([cell for cell in book.cells if cell in legs], [cell for cell in book.cells if cell not in legs]):
            for cells in _by_rung(part):
                block = _affordable(book, cells, budget)
                if block is not None:
                    book.ask([block])
                    book.close(budget=budget)
        book.confirm(budget=budget, when=self.spec.confirm)
        self._learn(book)


def _by_rung(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Cells in the order of their cheapest, shortest horizon first."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell[0], []).append(cell)
    return list(found.values())


def _affordable(book: Book, cells: Sequence[Cell], budget: float) -> Block | None:
    """A block of three LRs at as many horizons of a rung, from the shortest on, as the budget allows.

    The budget must also allow one more run, to extend the sweep. None if it does not allow a single horizon.
    """
    for count in range(len(cells), 0, -1):
        longest = cells[count - 1]
        block = opening(book, longest, lrs=OPENING)
        if block is None:
            continue
        block = block._replace(horizons=tuple(horizon for _, horizon in cells[:count]))
        if book.spent + book.cost(block) + book.run_flops(longest) <= budget:
            return block
    return None


def run_flops(rung: Rung) -> float:
    """FLOPs of one run of a rung to its longest horizon."""
    return float(rung.flops_per_token * max(rung.horizons))


def by_size(book: Book) -> list[list[Cell]]:
    """Cells of each model, shortest horizon first; models by active, then total parameters."""
    found: dict[tuple[int, int], list[Cell]] = {}
    for cell in sorted(book.cells, key=lambda cell: (cell[1], cell[0])):
        rung = book.rungs[cell[0]]
        found.setdefault((rung.n_active, rung.n_total), []).append(cell)
    return [found[size] for size in sorted(found)]


def opening(book: Book, cell: Cell, *, lrs: int) -> Block | None:
    """The `lrs` LRs nearest to the expected best one, ascending. None if a cell has too few for a parabola."""
    options = [lr for lr, _ in book.options(cell, expected(book, cell))]
    if len(options) < OPENING:
        return None
    return Block(cell[0], tuple(sorted(options[: max(lrs, OPENING)])), (cell[1],), book.grid.seeds[0])


def expected(book: Book, cell: Cell) -> float:
    """The expected best ln lr of a cell: by the law of the minima so far, or else the middle of the lab's LRs."""
    points = points_of(book.rungs, book.curves())
    if not points:
        lrs = fixed_lrs(book.lab, cell[0])
        return float(np.mean(np.log(lrs))) if lrs else math.log(book.grid.lr_guess)
    rung = book.rungs[cell[0]]
    law = fit_law(points, n_boot=0)
    found = law.predict(rung.n_active, cell[1], n_total=rung.n_total, batch_tokens=rung.batch_tokens)
    return math.log(found.lr)


def points_of(rungs: Mapping[str, Rung], curves: Mapping[Cell, Curve]) -> list[LawPoint]:
    """A point of the law for each cell whose sweep brackets its best LR."""
    points = []
    for (name, horizon), curve in curves.items():
        if curve.lr_best is not None and curve.sd_ln_lr is not None:
            rung = rungs[name]
            point = LawPoint(rung.n_active, horizon, math.log(curve.lr_best), curve.sd_ln_lr)
            points.append(point._replace(n_total=rung.n_total, batch_tokens=rung.batch_tokens))
    return points


def _spread(cells: Sequence[Cell], n: int) -> list[Cell]:
    """`n` of the cells, among them the first and the last; all if there are no more."""
    picks = sorted({round(i) for i in np.linspace(0, len(cells) - 1, n)})
    return [cells[i] for i in picks]
