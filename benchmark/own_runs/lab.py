"""A lab that trains nothing. It answers only from runs that were made before."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lrladder.benchmark.own_runs.cells import RunCell
from lrladder.paradigms.lab import Measurement, Request, Rung
from lrladder.paradigms.published import FLOPS_PER_PARAMETER
from lrladder.paradigms.sweep.swept import sweep

RESOLUTION = 1e9  # counts that are not whole are converted to a unit in which the smallest is this number


@dataclass(frozen=True)
class CellRung:
    """One cell as a rung with a single horizon. Counts are whole. `batch_tokens` is None if it is not known."""

    name: str
    part: Literal["proxy", "target"]
    n_total: int
    n_active: int
    batch_tokens: int | None
    horizons: tuple[int]

    @property
    def flops_per_token(self) -> int:
        """6 N_active."""
        return FLOPS_PER_PARAMETER * self.n_active


def rungs_of(sources: Sequence[RunCell], target: RunCell) -> tuple[tuple[Rung, ...], Rung]:
    """Sources and target as rungs, in the same units.

    Their batch may be unknown, unlike that of other rungs. The searches that use them allow for this.
    """
    cells = [*sources, target]
    sizes = _whole([count for cell in cells for count in (cell.n_params, cell.n_active)])
    tokens = _whole([cell.tokens for cell in cells])
    batches = _whole([cell.batch_tokens for cell in cells if cell.batch_tokens is not None])
    rungs: Sequence[Any] = [
        CellRung(
            name=f"cell {i}: {cell.name}",
            part="proxy" if i < len(sources) else "target",
            n_total=sizes[cell.n_params],
            n_active=sizes[cell.n_active],
            batch_tokens=None if cell.batch_tokens is None else batches[cell.batch_tokens],
            horizons=(tokens[cell.tokens],),
        )
        for i, cell in enumerate(cells)
    ]
    return tuple(rungs[:-1]), rungs[-1]


def _whole(counts: Sequence[float]) -> dict[float, int]:
    """The counts as whole numbers, by count, in a common unit."""
    unit = 1.0 if all(count.is_integer() for count in counts) else min(counts) / RESOLUTION
    return {count: round(count / unit) for count in counts}


class ReplayedLab:
    """The runs of `cells`, under the names of `rungs` (in the same order).

    The loss of a run is the mean of its replicates; it diverged if one of them did. A payer is charged 6 N_active D for
    each replicate, once per distinct LR.
    """

    def __init__(self, rungs: Sequence[Rung], cells: Sequence[RunCell]) -> None:
        self._rungs = {rung.name: rung for rung in rungs}
        self._runs = {rung.name: _runs(cell) for rung, cell in zip(rungs, cells, strict=True)}
        self._charged: dict[str, dict[tuple[str, float], float]] = {}

    def lrs(self, rung: str) -> tuple[float, ...]:
        """The LRs that a rung was run at, ascending."""
        return tuple(self._runs[rung])

    def measure(self, requests: Sequence[Request], *, payer: str) -> list[list[Measurement]]:
        """One measurement per request; its seed does not matter. Raises ValueError for a run that was never made."""
        for request in requests:
            self._check(request)
        measured = [self._read(request) for request in requests]
        charged = self._charged.setdefault(payer, {})
        charged |= {(m.rung, m.lr): m.flops for m in measured}
        return [[measurement] for measurement in measured]

    def cost_flops(self, payer: str) -> float:
        """FLOPs charged to `payer` so far."""
        return math.fsum(self._charged.get(payer, {}).values())

    def asked(self, payer: str) -> tuple[tuple[str, float], ...]:
        """Rungs and LRs of the runs that `payer` was charged for."""
        return tuple(self._charged.get(payer, {}))

    def flops(self, request: Request) -> float:
        """FLOPs of all replicates of a run. Raises KeyError for a run that was never made."""
        rung = self._rungs[request.rung]
        _, replicates = self._runs[request.rung][request.lr]
        return float(rung.flops_per_token * rung.horizons[0] * replicates)

    def _check(self, request: Request) -> None:
        rung = self._rungs.get(request.rung)
        if rung is None:
            raise ValueError(f"no runs of {request.rung!r}; there are {', '.join(self._rungs)}")
        if tuple(request.horizons) != rung.horizons:
            raise ValueError(f"{request.rung}: runs are of {rung.horizons[0]:,} tokens, not {request.horizons}")
        if request.lr not in self._runs[request.rung]:
            known = ", ".join(f"{lr:.4g}" for lr in self.lrs(request.rung))
            raise ValueError(f"{request.rung}: no run at LR {request.lr:.4g}; there are {known}")
        if request.role_lrs or request.horizon_exponent is not None:
            raise ValueError(f"{request.rung}: runs have one LR for all roles and no horizon rule")

    def _read(self, request: Request) -> Measurement:
        rung = self._rungs[request.rung]
        loss, _ = self._runs[request.rung][request.lr]
        return Measurement(
            trial_id=f"{request.rung}, LR {request.lr!r}",
            rung=request.rung,
            parametrization=request.parametrization,
            lr=request.lr,
            seed=request.seed,
            horizon=rung.horizons[0],
            verdict="diverged" if loss is None else "finished",
            loss=loss,
            flops=self.flops(request),
            message="diverged in the table of runs" if loss is None else "",
        )


def _runs(cell: RunCell) -> dict[float, tuple[float | None, int]]:
    """Mean loss, None if any replicate diverged, and the number of replicates, by LR."""
    data = sweep(cell.lrs, cell.losses)
    means = dict(zip(data.finished.tolist(), data.means.tolist(), strict=True))
    return {lr: (means.get(lr), cell.lrs.count(lr)) for lr in data.tried.tolist()}
