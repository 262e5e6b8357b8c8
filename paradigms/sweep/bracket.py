"""Searches the best LR of several cells at once, on a geometric grid that grows until each minimum is bracketed.

A minimum is bracketed when the best LR tried has a worse LR on each side. A cell is one rung at one horizon.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from lrladder.paradigms.entry_lab import EntryLab
from lrladder.paradigms.lab import Lab, Measurement, ParametrizationName, Request
from lrladder.paradigms.settings import Confirm
from lrladder.paradigms.sweep.curve import Curve, fit_curve
from lrladder.paradigms.sweep.grid import SearchSpec, first_steps, grid_lr, steps_to
from lrladder.paradigms.sweep.noise import pooled_noise
from lrladder.paradigms.sweep.quiet import is_quiet
from lrladder.paradigms.sweep.swept import Sweep, open_side, settle, sweep

Cell = tuple[str, int]  # name of a rung, which has one shape and one batch; horizon in tokens

OUT_OF_BUDGET = "not extended further: the next LRs would exceed the budget"
MIN_LRS = 4  # one more than a parabola has coefficients, so that residuals can show a misfit
LAST_STEPS, LEAN_STEPS = 2, 1  # LRs that a last round adds to a bracketed cell, and that of a lean sweep


@dataclass
class CellLosses:
    """LRs and losses of one cell's runs. The loss of a diverged run is None; failed runs are only counted."""

    lrs: list[float] = field(default_factory=list)
    losses: list[float | None] = field(default_factory=list)
    failed: int = 0

    def add(self, measurement: Measurement) -> None:
        """Add the measurement of one run."""
        if measurement.verdict not in ("finished", "diverged"):
            self.failed += 1
            return
        self.lrs.append(measurement.lr)
        self.losses.append(measurement.loss if measurement.verdict == "finished" else None)

    def fit(self, *, noise: float | None = None) -> Curve:
        """The curve of the cell. `noise` is the sd of one loss in nats, if known."""
        curve = fit_curve(self.lrs, self.losses, noise=noise)
        if not self.failed:
            return curve
        return replace(curve, flags=(*curve.flags, f"{self.failed} failed runs ignored"))


def collect(measurements: Iterable[Measurement]) -> dict[Cell, CellLosses]:
    """Group measurements by cell."""
    cells: dict[Cell, CellLosses] = {}
    for measurement in measurements:
        cells.setdefault((measurement.rung, measurement.horizon), CellLosses()).add(measurement)
    return cells


def search_brackets(
    lab: Lab,
    cells: Mapping[str, Sequence[int]],
    spec: SearchSpec,
    *,
    payer: str,
    parametrization: ParametrizationName,
    horizon_exponent: float | None = None,
    role_lrs: tuple[tuple[str, float], ...] = (),
    continued: Mapping[str, tuple[int, ...]] | None = None,
    refine: bool = False,
    confirm: Confirm = "always",
    lean: bool = False,
    starts: Mapping[str, float] | None = None,
) -> dict[Cell, Curve]:
    """Search all cells, and return a fitted curve for each. `cells` maps the names of rungs to their horizons.

    One run gives losses at all horizons of its rung. Horizons in `continued` are measured too, but no grid is extended
    for them. With `refine`, a last round adds half a grid step (in ln lr) on either side of each bracketed best LR: a
    parabola fits better over a narrower range, and the scoring can use more runs near the best.

    With `confirm` "if_noisy" the seeds after the first are run only if the noise moves the best LRs (quiet.py).

    A `lean` search does as with `refine`, with fewer runs. The grid is tried with the first seed alone. Then the best
    LR, its neighbour with the lower loss and the half step between them get all seeds, and no other LR does.

    `starts` has the step of the grid, which need not be whole, at which the search of a rung starts; it is 0 otherwise.

    Every round asks for the runs of all rungs in one call, so that workers stay busy. If the curves have enough
    residuals, they share one estimate of the noise. Raises ValueError for a spec of fewer than three points.
    """
    if spec.points < 3:
        raise ValueError(f"points is {spec.points}; a minimum needs at least 3 learning rates")
    starts = starts or {}
    grids = {rung: [starts.get(rung, 0.0) + k for k in first_steps(spec.points)] for rung in cells}
    read = {rung: (*cells[rung], *(continued or {}).get(rung, ())) for rung in cells}
    asked = _Asked(lab, payer, spec, read, parametrization, horizon_exponent, role_lrs)
    least = MIN_LRS - (LEAN_STEPS if lean else LAST_STEPS if refine else 0)
    asked.seeds = spec.seeds[:1] if lean or confirm == "if_noisy" else spec.seeds
    _bracket(asked, cells, grids, {rung: list(grid) for rung, grid in grids.items()}, least=least)
    if confirm == "if_noisy" and len(spec.seeds) > 1 and not is_quiet(_fit_together(asked.measured).values()):
        asked.seeds = spec.seeds[1:]
        asked.measure(asked.affordable(grids))
        asked.seeds = spec.seeds
        _bracket(asked, cells, grids, _extensions(asked, cells, grids, least=least), least=least)
    if refine or lean:
        asked.seeds = spec.seeds if lean else asked.seeds
        last = lean_steps if lean else last_steps
        asked.measure({rung: last(spec, asked.losses(rung, cells[rung]), starts.get(rung, 0.0)) for rung in cells})
    curves = _fit_together(asked.measured)
    out = {cell: curve for cell, curve in curves.items() if cell[0] in asked.cut}
    return curves | {cell: replace(curve, flags=(*curve.flags, OUT_OF_BUDGET)) for cell, curve in out.items()}


class _Asked:
    """The runs that one search has asked a lab for, and their losses. `read` has the horizons of each rung."""

    def __init__(
        self,
        lab: Lab,
        payer: str,
        spec: SearchSpec,
        read: Mapping[str, tuple[int, ...]],
        parametrization: ParametrizationName,
        horizon_exponent: float | None,
        role_lrs: tuple[tuple[str, float], ...],
    ) -> None:
        self._lab, self._payer, self.spec, self._read = lab, payer, spec, read
        self._recipe = parametrization, horizon_exponent, role_lrs
        self.seeds = spec.seeds
        self.measured = {(rung, horizon): CellLosses() for rung in read for horizon in read[rung]}
        self.cut: set[str] = set()  # rungs whose next LRs the budget does not allow
        self._asked: set[Request] = set()

    def measure(self, steps: Mapping[str, Sequence[float]]) -> None:
        """Run all rungs at their steps of the grid, in one call, without the runs that were asked for before."""
        wanted = (request for rung, ks in steps.items() for request in self._requests(rung, ks))
        requests = [request for request in wanted if request not in self._asked]
        self._asked.update(requests)
        for measurement in chain.from_iterable(self._lab.measure(requests, payer=self._payer) if requests else ()):
            self.measured[measurement.rung, measurement.horizon].add(measurement)

    def losses(self, rung: str, horizons: Sequence[int]) -> list[CellLosses]:
        return [self.measured[rung, horizon] for horizon in horizons]

    def affordable(self, steps: Mapping[str, list[float]]) -> dict[str, list[float]]:
        """The steps of the rungs that the budget pays for, cheapest first. The other rungs are cut."""
        if not isinstance(self._lab, EntryLab):
            return dict(steps)
        wanted = {rung: self._requests(rung, ks) for rung, ks in steps.items()}
        room: list[Request] = []
        for rung in sorted(wanted, key=lambda rung: sum(map(self._lab.flops, wanted[rung]))):
            if self._lab.affords([*room, *wanted[rung]]):
                room += wanted[rung]
            else:
                self.cut.add(rung)
        return {rung: ks for rung, ks in steps.items() if rung not in self.cut}

    def _requests(self, rung: str, ks: Sequence[float]) -> list[Request]:
        parametrization, horizon_exponent, role_lrs = self._recipe
        return [
            Request(rung, parametrization, grid_lr(self.spec, k), seed, self._read[rung], horizon_exponent, role_lrs)
            for k in ks
            for seed in self.seeds
        ]


def _bracket(
    asked: _Asked,
    cells: Mapping[str, Sequence[int]],
    grids: dict[str, list[float]],
    todo: dict[str, list[float]],
    *,
    least: int,
) -> None:
    """Run the steps `todo` of the grids, and extend each grid while a minimum of its rung is not bracketed."""
    for extension in range(asked.spec.max_extensions + 1):
        if not any(todo.values()):
            break
        asked.measure(todo)
        todo = _extensions(asked, cells, grids, least=least) if extension < asked.spec.max_extensions else {}


def _extensions(
    asked: _Asked, cells: Mapping[str, Sequence[int]], grids: dict[str, list[float]], *, least: int
) -> dict[str, list[float]]:
    """The next steps of each grid that the budget pays for, which are added to it. `least`: LRs that a cell needs."""
    open_cells = {rung: asked.losses(rung, cells[rung]) for rung in cells if rung not in asked.cut}
    return asked.affordable({rung: _extend(grids[rung], found, least) for rung, found in open_cells.items()})


def _fit_together(measured: Mapping[Cell, CellLosses]) -> dict[Cell, Curve]:
    """Each cell's curve. The noise is estimated from all residuals, if there are enough."""
    curves = {cell: found.fit() for cell, found in measured.items()}
    noise = pooled_noise(curves.values()).shared
    return curves if noise is None else {cell: measured[cell].fit(noise=noise) for cell in curves}


def _extend(grid: list[float], cells: list[CellLosses], least: int) -> list[float]:
    """Add grid points to `grid`, at most one on either side, and return them. `least`: LRs that a cell needs."""
    sides = {side for cell in cells for side in _open_sides(cell, least)}
    added = ([min(grid) - 1] if "low" in sides else []) + ([max(grid) + 1] if "high" in sides else [])
    grid.extend(added)
    return added


def last_steps(spec: SearchSpec, cells: Iterable[CellLosses], start: float = 0.0) -> list[float]:
    """Half grid steps beside the best LR of each bracketed cell, ascending, without those tried already."""
    steps: set[float] = set()
    for cell in cells:
        data = settle(sweep(cell.lrs, cell.losses)).sweep
        if len(data.finished) and open_side(data) is None:
            middle = _step(spec, start, data.finished[int(data.means.argmin())])
            steps |= {middle - 0.5, middle + 0.5} - {_step(spec, start, lr) for lr in cell.lrs}
    return sorted(steps)


def lean_steps(spec: SearchSpec, cells: Iterable[CellLosses], start: float = 0.0) -> list[float]:
    """Grid steps of the LRs that get all seeds in a lean search of these cells, ascending.

    They are the best LR of each cell and, if it is bracketed, its neighbour with the lower loss and the LR between the
    two.
    """
    steps: set[float] = set()
    for cell in cells:
        data = settle(sweep(cell.lrs, cell.losses)).sweep
        if len(data.finished):
            best = _step(spec, start, data.finished[int(data.means.argmin())])
            side = 0.0 if open_side(data) else 1.0 if _thin_side(data) == "high" else -1.0
            steps |= {best, best + side / 2, best + side}
    return sorted(steps)


def _step(spec: SearchSpec, start: float, lr: float) -> float:
    """The step of an LR, which is a whole or half number of steps from the start."""
    return start + round(2 * (steps_to(lr, spec) - start)) / 2


def _open_sides(cell: CellLosses, least: int) -> set[str]:
    """Sides on which one more LR is needed: because the best LR is at an edge, or because a curve has too few LRs."""
    data = settle(sweep(cell.lrs, cell.losses)).sweep
    if not len(data.tried):  # every run failed, and other LRs would not show why
        return set()
    side = open_side(data)
    if side is not None:
        return {side}
    if len(data.finished) < 3 and len(data.finished) < len(data.tried):
        return {"low"}  # LRs above diverge
    return {_thin_side(data)} if len(data.tried) < least else set()


def _thin_side(data: Sweep) -> str:
    """The side of the best LR on which the neighbour has the lower loss, because the minimum lies on that side.

    A diverged neighbour counts as having the higher loss.
    """
    by_lr = dict(zip(data.finished, data.means, strict=True))
    best = list(data.tried).index(data.finished[data.means.argmin()])
    left, right = (by_lr.get(data.tried[best + step], math.inf) for step in (-1, 1))
    return "low" if left <= right else "high"
