"""Chooses an LR if a search found no minimum: from the few runs that it paid for, or else from published laws."""

import math
from collections.abc import Sequence
from statistics import median

from lrladder.paradigms.lab import Lab, Rung
from lrladder.paradigms.laws.law import LawPoint, fit_law
from lrladder.paradigms.level import Z
from lrladder.paradigms.published import LAWS
from lrladder.paradigms.strategies.book import Block, Book
from lrladder.paradigms.strategies.search import GRID, Choice, expected, run_flops
from lrladder.paradigms.sweep.bracket import Cell
from lrladder.paradigms.sweep.soft import Soft, soft_minimum

# Half width of the 90% interval of the published laws, in octaves. At 50 cells of three public tables single laws
# missed by up to 4.2 octaves, and their median by up to 2.7 (docs/fitting.md). Assumption: in other recipes it
# misses by at most 4.
MISS = 4.0
APART = 3.0  # ratio of two LRs of one sweep that differ in loss by more than the noise of a run; assumption
SPREAD = MISS * math.log(2) / Z  # sd of ln lr whose 90% interval is +-MISS octaves


def from_few_runs(
    lab: Lab,
    rungs: Sequence[Rung],
    aim: Rung,
    *,
    payer: str,
    asked: Sequence[tuple[str, float]],
    target_runs: float,
    why: str,
) -> Choice:
    """An LR from the (rung, LR) runs that `payer` has `asked` for, and, if needed, from runs of the cheapest cell.

    Each cell with two runs gives an estimate of its best LR, by the usual curvature of a sweep. The LR comes from the
    law of these estimates, with an interval that contains their uncertainty. If there is no such cell, it comes from
    the published laws. `target_runs` is the budget; `why` says why the search found no minimum.
    """
    book = Book(lab, rungs, GRID, payer=payer)
    horizons = {rung.name: rung.horizons for rung in rungs}
    paid = [(rung, lr) for rung, lr in asked if rung in horizons]
    book.ask(Block(rung, (lr,), horizons[rung], GRID.seeds[0]) for rung, lr in paid)
    if book.cells and not any(len(found.lrs) > 1 for found in book.measured.values()):
        _buy(book, book.cells[0], budget=target_runs * run_flops(aim))
    points = _guesses(book)
    if not points:
        return from_published(aim, why=why)
    tokens = max(aim.horizons)
    found = fit_law(points, n_boot=0).predict(aim.n_active, tokens, n_total=aim.n_total, batch_tokens=aim.batch_tokens)
    runs = sum(len(losses.lrs) for losses in book.measured.values())
    said = f"no minimum was bracketed, so {runs} runs and the usual curvature of a sweep answer: {why}"
    return Choice(*found, (said,))


def from_published(target: Rung, *, why: str) -> Choice:
    """The median LR of the published laws that can be evaluated. `why` says why the search found no minimum."""
    return by_middle(target.n_active, target.n_total, max(target.horizons), why=why)


def by_middle(n_active: float, n_total: float, tokens: float, *, why: str) -> Choice:
    """The same for a model that is no rung."""
    lr = math.exp(middle_published(n_active, n_total, tokens))
    said = f"no minimum was found, so the LR is the middle one of 3 published laws, +-{MISS:g} octaves"
    return Choice(lr, lr * 2**-MISS, lr * 2**MISS, (f"{said}: {why}", "N and D are assumed to be plain counts"))


def middle_published(n_active: float, n_total: float, tokens: float) -> float:
    """ln lr by the middle one of the published laws that need only these counts."""
    return median(law.ln_lr(n_active, n_total, tokens) for law in LAWS if not law.needs)


def _middle(rung: Rung) -> float:
    return middle_published(rung.n_active, rung.n_total, max(rung.horizons))


def _buy(book: Book, cell: Cell, *, budget: float) -> None:
    """Ask for runs of one cell while the budget lasts: two at least APART, then those nearest to the likely best LR."""
    more = True
    while more:
        soft = _soft(book, cell)
        around = expected(book, cell) if soft is None else soft.ln_lr
        tried = [math.log(lr) for lr, _ in book.finished(cell)] if soft is None else []
        options = book.options(cell, around)
        far = [(lr, seed) for lr, seed in options if all(abs(math.log(lr) - x) > math.log(APART) for x in tried)]
        blocks = [Block(cell[0], (lr,), (cell[1],), seed) for lr, seed in (far or options)[:1]]
        more = book.ask(blocks, budget=budget)


def _soft(book: Book, cell: Cell) -> Soft | None:
    found = book.measured.get(cell)
    if found is None:
        return None
    return soft_minimum(found.lrs, found.losses, center=_middle(book.rungs[cell[0]]), spread=SPREAD)


def _guesses(book: Book) -> list[LawPoint]:
    points = []
    for cell in book.measured:
        soft, rung = _soft(book, cell), book.rungs[cell[0]]
        if soft is not None:
            points.append(LawPoint(rung.n_active, cell[1], soft.ln_lr, soft.sd, rung.n_total, rung.batch_tokens))
    return points
