"""Figures of a study of schedules, as inline SVG: best LRs over tokens, losses, and the cost of one LR setting."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from lrladder.benchmark.studies.schedules.config import SCHEDULE_NAMES
from lrladder.benchmark.studies.schedules.results import CellResult, LawFit, SchedulesResults
from lrladder.paradigms.published import POWER_A_FITTED, POWER_D, POWER_SEQ_LEN
from lrladder.reports.drawing import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    WIDTH,
    power_axis,
    shades,
    style,
    to_svg,
)
from lrladder.reports.formats import fixed, short
from lrladder.reports.panels import STROKES, panel_title

COLOURS = {"wsd": BLUE, "power": GREEN, "cosine": ORANGE}
NAMES = {"wsd": "WSD", "power": "Power", "cosine": "cosine"}
MARKERS = "osD^vP"


def best_lrs(results: SchedulesResults, family: str) -> str | None:
    """The best LR of WSD against tokens by batch, and the same over the batch; None without a bracketed best LR."""
    found = [c for c in results.cells if (c.family, c.schedule) == (family, "wsd") and c.lr_best is not None]
    if not found:
        return None
    with style():
        figure = Figure(figsize=(WIDTH, 3.6))
        left, right = figure.subplots(1, 2)
        figure.subplots_adjust(0.06, 0.14, 0.995, 0.92, wspace=0.16)
        _best(left, found, per_batch=False)
        _best(right, found, per_batch=True)
        _laws(right, found, [fit for fit in results.fits if fit.family == family])
        panel_title(left, "best learning rate of WSD")
        panel_title(right, f"by batch in {POWER_SEQ_LEN:,}-token sequences")
        label = f"Best learning rate of WSD against tokens, {family} models"
        return to_svg(figure, f"best-{family}", label, right.get_legend_handles_labels()[0])


def _cells_of(cells: Sequence[CellResult], size: int, batch: int) -> list[CellResult]:
    """The cells of one line, by their tokens."""
    return sorted((c for c in cells if (c.n_active, c.batch_tokens) == (size, batch)), key=lambda c: c.tokens)


def _row(number: int, height: float) -> tuple[Figure, Sequence[Axes]]:
    """A row of panels with one vertical axis."""
    figure = Figure(figsize=(WIDTH, height))
    panels = figure.subplots(1, number, squeeze=False, sharey=True)[0]
    figure.subplots_adjust(0.06, 0.15, 0.995, 0.92, wspace=0.06)
    return figure, panels


def _line(cell: CellResult) -> str:
    """The legend's words for a line: the batch and size that its cells share."""
    return f"batch {short(cell.batch_tokens)}, N {short(cell.n_active)}"


def _best(panel: Axes, cells: Sequence[CellResult], *, per_batch: bool) -> None:
    batches, sizes = sorted({c.batch_tokens for c in cells}), sorted({c.n_active for c in cells})
    for i, size in enumerate(sizes):
        for batch in batches:
            line = _cells_of(cells, size, batch)
            if line:
                unit = batch / POWER_SEQ_LEN if per_batch else 1.0
                y = [math.log2(c.lr_best / unit) for c in line if c.lr_best]
                bars = [
                    [math.log2((c.lr_best or 1) / (c.lr_low or c.lr_best or 1)) for c in line],
                    [math.log2((c.lr_high or c.lr_best or 1) / (c.lr_best or 1)) for c in line],
                ]
                x = np.log2([c.tokens for c in line]) + 0.04 * (i - (len(sizes) - 1) / 2)
                look = _look(i, batch, batches)
                panel.errorbar(x, y, yerr=bars, label=_line(line[0]), **look)
    _token_axis(panel, cells)
    low, high = panel.get_ylim()
    power_axis(panel, low, high, vertical=True)


def _look(size: int, batch: int, batches: Sequence[int]) -> dict[str, Any]:
    """A marker for the place of a size; a shade and a stroke for a batch, as neighbouring shades are much alike."""
    place = list(batches).index(batch)
    look: dict[str, Any] = {"marker": MARKERS[size % len(MARKERS)], "ms": 4, "lw": 0.9, "elinewidth": 0.7}
    return {**look, "color": shades(len(batches), "flare")[place], "ls": STROKES[place % len(STROKES)]}


def _laws(panel: Axes, cells: Sequence[CellResult], fits: Sequence[LawFit]) -> None:
    tokens = np.array([min(c.tokens for c in cells), max(c.tokens for c in cells)], dtype=float)
    for fit in fits:
        if fit.by == "paper":
            label = f"fit: a = {fit.a.value:.3g}, b = {fixed(fit.b.value)}"
            panel.plot(np.log2(tokens), np.log2(fit.a.value * tokens**fit.b.value), color=INK, lw=1.3, label=label)
    published = np.log2(POWER_A_FITTED * tokens**POWER_D)
    low, high = panel.get_ylim()
    if published.max() > low - 4 and published.min() < high + 4:
        label = f"published: a = {POWER_A_FITTED}, b = {fixed(POWER_D)}"
        panel.plot(np.log2(tokens), published, color=MUTED, lw=1.2, ls="--", label=label)
        power_axis(panel, *panel.get_ylim(), vertical=True)


def over_horizons(results: SchedulesResults, family: str, base_batch: int) -> str | None:
    """Loss of each schedule minus that of tuned WSD at the base batch, tuned per cell and at its one setting."""
    cells = [c for c in results.cells if (c.family, c.batch_tokens) == (family, base_batch)]
    tuned = {(c.n_active, c.tokens): c.loss for c in cells if c.schedule == "wsd" and c.loss is not None}
    sizes = sorted({size for size, _ in tuned})
    if not sizes:
        return None
    with style():
        figure, panels = _row(len(sizes), 3.4)
        for panel, size in zip(panels, sizes, strict=True):
            here = [c for c in cells if c.n_active == size and (size, c.tokens) in tuned]
            _losses(panel, here, {tokens: tuned[size, tokens] for s, tokens in tuned if s == size})
            panel_title(panel, f"N {short(size)} active parameters")
            _token_axis(panel, here)
        panels[0].set_ylabel("loss minus tuned WSD's, millinats")
        label = f"Loss against tokens by schedule, {family} models"
        return to_svg(figure, f"horizons-{family}", label, _handles(panels))


def _losses(panel: Axes, cells: Sequence[CellResult], wsd: dict[int, float | None]) -> None:
    for schedule in SCHEDULE_NAMES:
        own = sorted((c for c in cells if c.schedule == schedule), key=lambda c: c.tokens)
        for name, dashes in (("tuned", "-"), ("one setting", "--")):
            points = [(c.tokens, c.loss if name == "tuned" else c.one_loss) for c in own]
            known = [(tokens, 1e3 * (loss - (wsd[tokens] or 0))) for tokens, loss in points if loss is not None]
            if known:
                x, y = zip(*known, strict=True)
                label = f"{NAMES[schedule]}, {'tuned per cell' if name == 'tuned' else name}"
                panel.plot(np.log2(x), y, dashes, color=COLOURS[schedule], marker="o", ms=3.5, lw=1.2, label=label)


def regrets(results: SchedulesResults, family: str) -> str | None:
    """The regret of the one setting at every cell, a panel per schedule; None if no regret is known."""
    cells = [c for c in results.cells if c.family == family and c.regret is not None]
    if not cells:
        return None
    with style():
        figure, panels = _row(len(SCHEDULE_NAMES), 3.3)
        for panel, schedule in zip(panels, SCHEDULE_NAMES, strict=True):
            here = [c for c in cells if c.schedule == schedule]
            _regret(panel, here, sorted({c.batch_tokens for c in cells}))
            panel_title(panel, NAMES[schedule])
            if here:
                _token_axis(panel, cells)
        panels[0].set_ylabel("regret of not tuning again, millinats")
        label = f"Regret of one setting by schedule, {family} models"
        return to_svg(figure, f"regret-{family}", label, _handles(panels))


def _regret(panel: Axes, cells: Sequence[CellResult], batches: Sequence[int]) -> None:
    panel.axhline(0, color=MUTED, lw=0.6)
    for i, size in enumerate(sorted({c.n_active for c in cells})):
        for batch in batches:
            line = _cells_of(cells, size, batch)
            if line:
                x, y = np.log2([c.tokens for c in line]), np.array([1e3 * (c.regret or 0) for c in line])
                bars = [[1e3 * (c.regret_high - c.regret) if c.regret_high and c.regret else 0 for c in line]] * 2
                look = _look(i, batch, batches)
                panel.errorbar(x + 0.05 * (i - 0.5), y, yerr=np.abs(bars), label=_line(line[0]), **look)


def _handles(panels: Sequence[Axes]) -> list[Any]:
    """A legend entry for each distinct label in the panels."""
    found: dict[str, Any] = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return list(found.values())


def _token_axis(panel: Axes, cells: Sequence[CellResult]) -> None:
    places = sorted({c.tokens for c in cells})
    panel.xaxis.set_major_locator(FixedLocator([math.log2(tokens) for tokens in places]))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: short(round(2**x))))
    panel.set_xlabel("training tokens T")
