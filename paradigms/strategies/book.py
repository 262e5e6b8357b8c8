"""The runs that one search has asked a lab for, their losses, and the runs that it can still ask for."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lrladder.paradigms.lab import Lab, Request, Rung
from lrladder.paradigms.settings import Confirm
from lrladder.paradigms.sweep.bracket import Cell, CellLosses
from lrladder.paradigms.sweep.curve import Curve
from lrladder.paradigms.sweep.grid import grid_lr
from lrladder.paradigms.sweep.pooled import fit_curves
from lrladder.paradigms.sweep.quiet import is_quiet
from lrladder.paradigms.sweep.swept import open_side, settle, sweep

OPENING = 3  # LRs of the first block of a cell: as many as a parabola has coefficients
NEAR = 2  # grid steps from a minimum within which runs are asked for: those that the fit of a curve uses
PILOTS = 4  # more LRs that leave enough degrees of freedom (MIN_SHARED_DOF) to estimate the noise, one each
ROUNDING = 1e-6  # costs whose ratio is this near to 1 count as equal, so that the units of N and D do not matter


class GridSpec(NamedTuple):
    """The LRs lr_guess * factor^k and the `seeds` to use if a lab has no fixed LRs of its own."""

    lr_guess: float = 0.01
    factor: float = 2.0
    seeds: tuple[int, ...] = (0, 1, 2)


class Block(NamedTuple):
    """Runs of one rung at `lrs`, each with a loss at all `horizons`."""

    rung: str
    lrs: tuple[float, ...]
    horizons: tuple[int, ...]
    seed: int


Runs = dict[tuple[str, float, int], set[int]]  # horizons by rung, LR and seed


def merged(blocks: Iterable[Block]) -> list[Request]:
    """One request for each rung, LR and seed, with all horizons that any block reads: they share one trunk."""
    runs: Runs = {}
    for block in blocks:
        for lr in block.lrs:
            runs.setdefault((block.rung, lr, block.seed), set()).update(block.horizons)
    return [Request(rung, "sp", lr, seed, tuple(sorted(read))) for (rung, lr, seed), read in runs.items()]


class Book:
    """The runs and losses of one search, which asks under the name of its payer.

    Cells of one rung that are asked for together share their trunks.
    """

    def __init__(self, lab: Lab, rungs: Sequence[Rung], grid: GridSpec, *, payer: str) -> None:
        self.lab, self.grid, self.payer = lab, grid, payer
        self.rungs = {rung.name: rung for rung in rungs}
        self.cells: list[Cell] = [(rung.name, horizon) for rung in rungs for horizon in rung.horizons]
        self.cells.sort(key=lambda c: (_rank(self.run_flops(c)), self.rungs[c[0]].n_active, c[1], c[0]))
        self.measured: dict[Cell, CellLosses] = {}
        self._asked: set[tuple[Cell, float, int]] = set()  # with LR and seed

    @property
    def spent(self) -> float:
        """FLOPs charged so far."""
        return self.lab.cost_flops(self.payer)

    def run_flops(self, cell: Cell) -> float:
        """FLOPs of one run that serves this cell alone."""
        return float(self.rungs[cell[0]].flops_per_token * cell[1])

    def cost(self, *blocks: Block) -> float:
        """Planned FLOPs of blocks that are asked for together, as the lab charges them."""
        return math.fsum(map(self.lab.flops, merged(blocks)))

    def ask(self, blocks: Iterable[Block], *, budget: float = math.inf) -> bool:
        """Measure the blocks that `budget` allows, cheapest first, in one call. Returns whether there were any."""
        allowed: list[Block] = []
        for block in sorted(blocks, key=lambda block: _rank(self.cost(block))):
            if self.spent + self.cost(*allowed, block) <= budget * (1 + ROUNDING):
                allowed.append(block)
        requests = merged(allowed)
        self._asked |= {((r.rung, horizon), r.lr, r.seed) for r in requests for horizon in r.horizons}
        for run in self.lab.measure(requests, payer=self.payer) if requests else []:
            for measurement in run:
                self.measured.setdefault((measurement.rung, measurement.horizon), CellLosses()).add(measurement)
        return bool(requests)

    def options(self, cell: Cell, around: float) -> list[tuple[float, int]]:
        """LRs, each with its next seed, that can be asked for at a cell, below any LR that diverged there.

        LRs nearest to ln lr `around` come first. If the LRs of a lab are fixed, its runs are fixed too, and there is
        one seed.
        """
        lrs, seeds = fixed_lrs(self.lab, cell[0]), self.grid.seeds
        if lrs is None:
            middle = round((around - math.log(self.grid.lr_guess)) / math.log(self.grid.factor))
            lrs = tuple(grid_lr(self.grid, k) for k in range(middle - NEAR, middle + NEAR + 1))
        else:
            seeds = seeds[:1]
        limit = min(self._diverged(cell), default=math.inf)
        found = []
        for lr in sorted((lr for lr in lrs if lr < limit), key=lambda lr: (round(abs(math.log(lr) - around), 6), lr)):
            free = [seed for seed in seeds if (cell, lr, seed) not in self._asked]
            found += [(lr, free[0])] if free else []
        return found

    def finished(self, cell: Cell) -> list[tuple[float, float]]:
        """(LR, loss) of each finished run of a cell."""
        found = self.measured.get(cell, CellLosses())
        return [(lr, loss) for lr, loss in zip(found.lrs, found.losses, strict=True) if loss is not None]

    def _diverged(self, cell: Cell) -> list[float]:
        found = self.measured.get(cell, CellLosses())
        return [lr for lr, loss in zip(found.lrs, found.losses, strict=True) if loss is None]

    def opening(self, cell: Cell, around: float, horizons: tuple[int, ...]) -> list[Block]:
        """The first LRs of a cell. Empty if the cell has too few."""
        lrs = sorted(lr for lr, _ in self.options(cell, around)[:OPENING])
        return [Block(cell[0], tuple(lrs), horizons, self.grid.seeds[0])] if len(lrs) == OPENING else []

    def close(self, *, budget: float) -> None:
        """Extend the cells whose minimum is not bracketed, while LRs and budget last."""
        while self.ask(self._extensions(), budget=budget):
            pass

    def curves(self) -> dict[Cell, Curve]:
        """The curves of all cells with runs, fitted together as one study."""
        cells = list(self.measured)
        found = fit_curves([(self.measured[cell].lrs, self.measured[cell].losses) for cell in cells])
        return dict(zip(cells, found, strict=True))

    def confirm(self, *, budget: float, when: Confirm = "always") -> None:
        """Ask until the best LR of each cell has NEAR others on either side, cheapest first, within the budget.

        Three LRs are enough if the noise is small. Otherwise the fitted minimum is drawn towards the middle of the LRs
        that happen to bracket it. Asking only where a curve looks uncertain would have the same bias. Therefore
        "if_noisy" decides for all cells together.
        """
        while self.ask(self._flanks() if when == "always" else self._flanks_if_noisy(), budget=budget):
            self.close(budget=budget)

    def _flanks_if_noisy(self) -> list[Block]:
        """The flanks of the cheapest rungs until they show the noise. Then those of all rungs, unless it is small.

        The cells of a rung are asked for together, so that they share trunks.
        """
        blocks, quiet = self._flanks(), is_quiet(self.curves().values())
        if quiet is not None:
            return [] if quiet else blocks
        pilots: list[Block] = []
        for rung in dict.fromkeys(name for name, _ in self.cells):  # cheapest first
            if len(pilots) < PILOTS:
                pilots += [block for block in blocks if block.rung == rung]
        return pilots

    def _flanks(self) -> list[Block]:
        """For each cell with a bracketed best, the next LR on each side that has fewer than NEAR."""
        blocks = []
        for cell, found in self.measured.items():
            data = settle(sweep(found.lrs, found.losses)).sweep
            if not len(data.finished) or open_side(data) is not None:
                continue
            best = float(data.finished[int(data.means.argmin())])
            below = [lr for lr in data.tried if lr < best]
            above = [lr for lr in data.tried if lr > best]
            sides = [(float(data.tried[0]), -1)] * (len(below) < NEAR) + [(float(data.tried[-1]), 1)] * (
                len(above) < NEAR
            )
            for edge, sign in sides:
                blocks += self._beyond(cell, edge, sign)
        return blocks

    def _extensions(self) -> list[Block]:
        """For each cell whose best LR has nothing worse beside it, or too few LRs: the next LR on that side."""
        blocks = []
        for cell, found in self.measured.items():
            data = settle(sweep(found.lrs, found.losses)).sweep
            side = open_side(data) if len(data.tried) else None
            if side is None and 0 < len(data.finished) < OPENING:
                side = "low"  # the LRs above diverged
            if side is None:
                continue
            edge = float(data.tried[0] if side == "low" else data.tried[-1])
            blocks += self._beyond(cell, edge, -1 if side == "low" else 1)
        return blocks

    def _beyond(self, cell: Cell, edge: float, sign: int) -> list[Block]:
        """The next run of a cell below the LR `edge` (`sign` -1) or above it (`sign` 1), if one is left."""
        options = self.options(cell, math.log(edge))
        beyond = [(lr, seed) for lr, seed in options if sign * lr > sign * edge]
        return [Block(cell[0], (lr,), (cell[1],), seed) for lr, seed in beyond[:1]]


def _rank(flops: float) -> int:
    return round(math.log(flops) / ROUNDING)


def fixed_lrs(lab: Lab, rung: str) -> tuple[float, ...] | None:
    """The only LRs at which a lab can run a rung. None if it can run any LR."""
    lrs = getattr(lab, "lrs", None)
    return None if lrs is None else lrs(rung)
