"""Active search: it chooses the runs that tell most, per FLOP, of the best LR at the aim (the largest target or goal).

It follows PLES, arXiv 2609.01431. A Gaussian process predicts the loss of every cell, and Thompson samples say where
the best LR of each cell may lie. The value of a block of runs is by how much it lowers the predictive variance of ln
lr* at the aim, divided by its FLOPs. PLES uses the entropy of the law's constants and single runs instead; we use the
variance at the aim, for which the law is needed. The search starts a cell with three LRs and extends it until its
minimum is bracketed. The process only chooses runs. The answer comes from the law of the measured curves, whose
interval is better calibrated.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lrladder.paradigms.lab import Lab, Rung
from lrladder.paradigms.laws.law import fit_law
from lrladder.paradigms.laws.posterior import LEAST_SD
from lrladder.paradigms.level import Z
from lrladder.paradigms.strategies.book import Block, Book, GridSpec, fixed_lrs
from lrladder.paradigms.strategies.search import LawSearch, points_of
from lrladder.paradigms.strategies.surrogate import REACH, ROUNDING, Surrogate
from lrladder.paradigms.sweep.bracket import Cell

Array = NDArray[np.float64]

SAMPLES = 64  # Thompson samples; the error of the mean of their minima is an eighth of their spread
GRID = 25  # number of LRs at which a sampled surface is evaluated; assumption
MARGIN = 1.0  # distance in ln lr that a minimum may have from the LRs tried; assumption
REFIT = 2.0  # the parameters of the process are fitted again when the runs have grown by this factor; assumption


@dataclass(frozen=True)
class ActiveSpec:
    """What the search may cost, and the LRs to use if a lab has no fixed ones."""

    grid: GridSpec = field(default_factory=GridSpec)
    target_runs: float = 2.0  # the budget, in runs at the aim
    stop_sd: float = (
        0.1  # sd of ln lr* at the aim at which the search stops; costs 0.2 millinats at a curvature of 0.02
    )
    rounds: int = 15  # most rounds; assumption
    blocks: int = 6  # blocks of runs that one round asks for, so that workers stay busy; assumption


class Active(LawSearch):
    """A search for one aim. Its budget is counted in runs of the aim."""

    name = "active"

    def __init__(self, spec: ActiveSpec = ActiveSpec(), *, aim: Rung) -> None:
        super().__init__(spec.grid)
        self.spec, self.aim = spec, aim

    def search(self, lab: Lab, rungs: Sequence[Rung]) -> None:
        """Search `rungs` at all their horizons. Raises NoProposal if no minimum is bracketed."""
        book = Book(lab, rungs, self.grid, payer=self.name)
        explore(book, self.aim, self.spec)
        self._learn(book)


def explore(book: Book, aim: Rung, spec: ActiveSpec) -> None:
    """Search until the predictive sd of ln lr* at `aim` is small enough, or the budget is spent."""
    rng = np.random.default_rng(book.grid.seeds[0])
    budget = spec.target_runs * aim.flops_per_token * max(aim.horizons)
    place = math.log(aim.n_active), math.log(max(aim.horizons))
    book.ask(_openings(book), budget=budget)
    surrogate, fitted = None, 0
    for _ in range(spec.rounds):
        book.close(budget=budget)
        seen = sum(len(book.finished(cell)) for cell in book.cells)
        if not seen or _law_sd(book, aim) <= spec.stop_sd:
            break
        keep = surrogate is not None and seen < REFIT * fitted
        surrogate, fitted = _fit(book, surrogate if keep else None), fitted if keep else seen
        minima = _likely_minima(book, surrogate, np.array([*(_cell_place(book, c) for c in book.cells), place]), rng)
        blocks = _candidates(book, dict(zip(book.cells, minima, strict=False)))
        vertex = np.array([*place, minima[-1]])
        if not book.ask(_choose(book, surrogate, blocks, vertex, budget - book.spent, spec.blocks)):
            break
    book.close(budget=budget)


def _law_sd(book: Book, aim: Rung) -> float:
    """The part of the sd of ln lr* at the aim, by the law so far, that runs can lower. Infinite without a law."""
    points = points_of(book.rungs, book.curves())
    if not points:
        return math.inf
    law = fit_law(points, n_boot=0)
    found = law.predict(aim.n_active, max(aim.horizons), n_total=aim.n_total, batch_tokens=aim.batch_tokens)
    sd = math.log(found.lr_high / found.lr_low) / (2 * Z)
    return math.sqrt(max(0.0, sd**2 - LEAST_SD**2))


def _openings(book: Book) -> list[Block]:
    """The cheapest cell of each of the three cheapest sizes, and the next horizon of the cheapest size.

    They span N and D as cheaply as possible, which the first fit needs.
    """
    by_size: dict[int, Cell] = {}
    for cell in book.cells:
        by_size.setdefault(book.rungs[cell[0]].n_active, cell)
    first = list(by_size.values())[:3]
    smallest = book.rungs[first[0][0]].n_active
    first += [c for c in book.cells if book.rungs[c[0]].n_active == smallest and c[1] > first[0][1]][:1]
    blocks = []
    for cell in first:
        lrs = sorted(fixed_lrs(book.lab, cell[0]) or (book.grid.lr_guess,))
        blocks += book.opening(cell, math.log(lrs[len(lrs) // 2]), (cell[1],))
    return blocks


def _fit(book: Book, previous: Surrogate | None) -> Surrogate:
    """The process of all finished runs; the parameters of a `previous` one are kept."""
    cells = [cell for cell in book.cells if book.finished(cell)]
    rows = [(*_cell_place(book, c), math.log(lr), y, i) for i, c in enumerate(cells) for lr, y in book.finished(c)]
    table = np.array(rows)
    kernel = None if previous is None else previous.process.kernel_
    return Surrogate.fit(table[:, :3], table[:, 3], table[:, 4].astype(int), kernel=kernel)


def _likely_minima(book: Book, surrogate: Surrogate, places: Array, rng: np.random.Generator) -> Array:
    """Mean [cells] of the best ln lr of sampled surfaces at `places` [cells, 2]."""
    seen = [math.log(lr) for cell in book.cells for lr, _ in book.finished(cell)]
    margin = max(MARGIN, 0.5 * (max(seen) - min(seen)))
    grid = np.linspace(min(seen) - margin, max(seen) + margin, GRID)
    return surrogate.thompson(places, grid, rng, samples=SAMPLES).mean(axis=0)


def _candidates(book: Book, minima: dict[Cell, float]) -> list[Block]:
    """Blocks to choose from: three LRs around the likely minimum of a new cell, or one more LR of an opened one.

    Where a rung has several horizons, a run to one of them may also serve shorter horizons that have no loss yet.
    """
    blocks = []
    for cell in book.cells:
        name, horizon = cell
        if cell in book.measured:
            near = [
                (lr, seed) for lr, seed in book.options(cell, minima[cell]) if abs(math.log(lr) - minima[cell]) < REACH
            ]
            blocks += [Block(name, (lr,), (horizon,), seed) for lr, seed in near]
            continue
        shorter = [h for h in book.rungs[name].horizons if h < horizon and (name, h) not in book.measured]
        for horizons in sorted({(horizon,), (*shorter, horizon)}):
            blocks += book.opening(cell, minima[cell], horizons)
    return blocks


def _choose(
    book: Book, surrogate: Surrogate, blocks: Sequence[Block], vertex: Array, budget: float, limit: int
) -> list[Block]:
    """Up to `limit` blocks, each the best per FLOP given those before it; `vertex` is the aim with its likely ln lr."""
    blocks = [block for block in blocks if book.cost(block) <= budget]
    places = [[(*_cell_place(book, (b.rung, h)), math.log(lr)) for lr in b.lrs for h in b.horizons] for b in blocks]
    if not blocks:
        return []
    gain, cov = surrogate.learn(vertex, np.concatenate(places))
    ends = np.cumsum([len(place) for place in places])
    rows = [np.arange(end - len(place), end) for end, place in zip(ends, places, strict=True)]
    chosen: list[int] = []
    for _ in range(limit):
        spent = sum(book.cost(blocks[i]) for i in chosen)
        left = [i for i, b in enumerate(blocks) if i not in chosen and spent + book.cost(b) <= budget]
        if not left:
            break
        told = {i: float(gain[rows[i]] @ np.linalg.solve(cov[np.ix_(rows[i], rows[i])], gain[rows[i]])) for i in left}
        chosen.append(max(left, key=lambda i: told[i] / book.cost(blocks[i])))
        own = rows[chosen[-1]]
        weights = np.linalg.solve(cov[np.ix_(own, own)], cov[own])
        gain, cov = gain - gain[own] @ weights, cov - cov[:, own] @ weights + ROUNDING * np.eye(len(gain))
    return [blocks[i] for i in chosen]


def _cell_place(book: Book, cell: Cell) -> tuple[float, float]:
    return math.log(book.rungs[cell[0]].n_active), math.log(cell[1])
