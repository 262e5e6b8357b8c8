"""Predicted losses at horizons without runs, from other horizons of the same size, batch and LR.

This is step 2 of the search factor of arXiv 2601.05049: L(D) is fitted for each LR and evaluated at the other horizons.
"""

import math
from collections.abc import Iterable, Sequence

from lrladder.paradigms.laws.horizon import HorizonLaw, fit_horizons
from lrladder.paradigms.strategies.book import OPENING, Book
from lrladder.paradigms.sweep.bracket import Cell
from lrladder.paradigms.sweep.curve import Curve, fit_curve
from lrladder.paradigms.sweep.noise import pooled_noise

MIN_HORIZONS = 3  # least horizons of one size and batch; two would leave gamma to its prior


def predicted_curves(book: Book, curves: dict[Cell, Curve], cells: Sequence[Cell]) -> dict[Cell, Curve]:
    """Bracketed curves of predicted losses, at those `cells` of one size that the fitted L(D) reaches."""
    noise = pooled_noise(curves.values()).shared
    found: dict[Cell, Curve] = {}
    for batch in {book.rungs[cell[0]].batch_tokens for cell in cells}:
        same = [cell for cell in cells if book.rungs[cell[0]].batch_tokens == batch]
        measured = [cell for cell in same if cell in curves]
        if batch is None or len(measured) < MIN_HORIZONS:
            continue
        laws = _laws(book, measured, noise)
        for cell in set(same) - set(measured):
            curve = _read(laws, cell[1])
            if curve is not None and curve.status == "interior":
                found[cell] = curve
    return found


def _laws(book: Book, cells: Iterable[Cell], noise: float | None) -> dict[float, HorizonLaw]:
    """One fitted L(D) for each LR that finished at MIN_HORIZONS."""
    losses: dict[float, dict[int, list[float]]] = {}
    for cell in cells:
        for lr, loss in book.finished(cell):
            losses.setdefault(lr, {}).setdefault(cell[1], []).append(loss)
    means = {
        lr: (list(by_tokens), [math.fsum(found) / len(found) for found in by_tokens.values()])
        for lr, by_tokens in sorted(losses.items())
        if len(by_tokens) >= MIN_HORIZONS
    }
    return dict(zip(means, fit_horizons(list(means.values()), noise=noise), strict=True)) if means else {}


def _read(laws: dict[float, HorizonLaw], tokens: int) -> Curve | None:
    """The curve at a horizon. None if too few of its LRs have a prediction."""
    at = {lr: law.predict(tokens) for lr, law in laws.items() if law.reaches(tokens)}
    if len(at) < OPENING:
        return None
    noise = max(predicted.sd for predicted in at.values())
    return fit_curve(list(at), [predicted.loss for predicted in at.values()], noise=noise)
