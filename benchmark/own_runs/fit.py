"""Fits the laws of the best LR, of the loss and of the best batch to a table of anyone's runs."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from lrladder.benchmark.own_runs.cells import Protocol, RunCell, all_cells, choose_batch
from lrladder.benchmark.own_runs.fit_results import (
    BatchProtocol,
    BatchResult,
    FitCell,
    FitResults,
    FittedLaw,
    HorizonResult,
    LossResult,
    Range,
)
from lrladder.benchmark.own_runs.runs import Runs
from lrladder.benchmark.own_runs.settings import results_of
from lrladder.paradigms.laws.batch_law import BatchPoint, best_batch, fit_batch_law
from lrladder.paradigms.laws.design import Place
from lrladder.paradigms.laws.horizon import fit_horizons, interval
from lrladder.paradigms.laws.law import Law, LawPoint, fit_law
from lrladder.paradigms.laws.loss_law import LossPoint, fit_loss_law

MIN_HORIZONS = 4  # least horizons of an LR for a test that predicts the longest from the others; assumption


def fit_runs(
    runs: Runs, *, source: str, digest: str, protocol: Protocol = "best", environment: Mapping[str, str] | None = None
) -> FitResults:
    """Fit everything that can be fitted to a table. Held-out cells are not used.

    `source` and `digest` name the table in the results. `protocol` is that of `choose_batch`.
    """
    every = [cell for cell in all_cells(runs) if not cell.held_out]
    chosen = choose_batch(every, protocol)
    taken = {id(cell) for cell in chosen}
    cells = _beside_law([_cell(cell, chosen=id(cell) in taken) for cell in every])
    loss_law = fit_loss_law(loss_points(cells))
    return FitResults(
        source=source,
        digest=digest,
        protocol=protocol,
        n_runs=len(runs.frame),
        cells=cells,
        laws=tuple(_laws(cells)),
        loss_law=loss_law
        and LossResult(
            form=loss_law.form.name,
            floor=loss_law.floor,
            alpha=loss_law.alpha,
            beta=loss_law.beta,
            gamma=loss_law.gamma,
            scatter=loss_law.scatter.sd,
            miss=loss_law.miss,
            missed={name: found.rms for name, found in loss_law.missed.items()},
            n_points=loss_law.n_points,
            flags=loss_law.flags,
        ),
        batch_law=_batch_law(cells),
        horizons=_horizons(cells),
        settings=results_of(runs.tried),
        flags=(*runs.flags, *_flags(cells, is_empty=runs.frame.empty)),
        environment=dict(environment or {}),
    )


def _cell(cell: RunCell, *, chosen: bool) -> FitCell:
    curve = cell.curve
    return FitCell(
        family=cell.family,
        n_params=cell.n_params,
        n_active=cell.n_active,
        tokens=cell.tokens,
        batch_tokens=cell.batch_tokens,
        chosen=chosen,
        status=curve.status,
        edge=curve.edge,
        n=curve.n,
        n_diverged=sum(loss is None for loss in cell.losses),
        lr_best=curve.lr_best,
        lr_low=curve.lr_low,
        lr_high=curve.lr_high,
        sd_ln_lr=curve.sd_ln_lr,
        loss=cell.loss_best,
        curvature=curve.curvature,
        lrs=cell.lrs,
        losses=cell.losses,
        flags=curve.flags,
    )


def _beside_law(cells: Sequence[FitCell]) -> tuple[FitCell, ...]:
    """The cells, of which each chosen one also has the LR of the law, so that a wrong size or horizon can be seen."""
    free = [point._replace(batch_tokens=None) for point in law_points(cells)]
    if not free:
        return tuple(cells)
    law = fit_law(free, n_boot=0).regression
    at = {i: Place(cell.n_active, cell.tokens, cell.n_params) for i, cell in enumerate(cells) if cell.chosen}
    return tuple(
        cell.model_copy(update={"lr_law": math.exp(law.trend(at[i]))}) if i in at else cell
        for i, cell in enumerate(cells)
    )


def law_points(cells: Sequence[FitCell], *, every_batch: bool = False) -> list[LawPoint]:
    """The points of the law: the best LRs of the chosen sweeps, or of the sweeps at every batch, if bracketed."""
    return [
        LawPoint(
            n_active=cell.n_active,
            tokens=cell.tokens,
            ln_lr=math.log(cell.lr_best),
            sd=cell.sd_ln_lr,
            n_total=cell.n_params,
            batch_tokens=cell.batch_tokens,
        )
        for cell in cells
        if cell.lr_best is not None and cell.sd_ln_lr is not None and (cell.chosen or every_batch)
    ]


def loss_points(cells: Sequence[FitCell]) -> list[LossPoint]:
    """The points of the law of the loss: the fitted minima of the chosen sweeps."""
    fitted = [cell for cell in cells if cell.chosen and cell.status == "interior"]
    return [LossPoint(cell.n_active, cell.tokens, cell.loss) for cell in fitted if cell.loss is not None]


def _laws(cells: Sequence[FitCell]) -> Iterator[FittedLaw]:
    """The law with the best measure of N, then those with the other measures, then one with a term for the batch."""
    free = [point._replace(batch_tokens=None) for point in law_points(cells)]
    if not free:
        return
    best = fit_law(free)
    yield _law("best", best, "free")
    sparse = any(point.n_total != point.n_active for point in free)
    for size in ("active", "total", "flops") if sparse else ("active", "flops"):
        if size != best.size:
            yield _law(size, fit_law(free, size=size), "free")
    given = law_points(cells, every_batch=True)
    if len({point.batch_tokens for point in given} - {None}) > 1:
        yield _law("batch", fit_law(given), "given")


def _law(name: str, law: Law, batch: BatchProtocol) -> FittedLaw:
    names = {"size": "n", "tokens": "tokens", "batch": "batch_tokens", "sparsity": "sparsity"}
    exponents = {}
    for column, found in law.exponents.items():
        sign = -1 if column in ("size", "tokens") else 1
        exponents[names[column]] = _range(sign * found.value, [found.low, found.high], sign)
    return FittedLaw(
        name=name,
        size=law.size,
        batch=batch,
        k=law.k,
        exponents=exponents,
        n_points=law.n_points,
        left_out=law.left_out,
        flags=law.flags,
    )


def _range(value: float, ends: Sequence[float | None], sign: int) -> Range:
    known = sorted(sign * end for end in ends if end is not None)
    return (
        Range(value=value, low=known[0], high=known[1]) if len(known) == 2 else Range(value=value, low=None, high=None)
    )


def _batch_law(cells: Sequence[FitCell]) -> BatchResult | None:
    groups: dict[tuple[object, ...], dict[float, float]] = {}
    for cell in cells:
        if cell.batch_tokens is not None and cell.loss is not None and cell.status == "interior":
            key = (cell.family, cell.n_params, cell.n_active, cell.tokens)
            groups.setdefault(key, {})[cell.batch_tokens] = cell.loss
    curves = {key: best_batch(minima) for key, minima in groups.items()}
    points = [
        BatchPoint(float(str(key[3])), math.log(curve.lr_best), curve.sd_ln_lr)
        for key, curve in curves.items()
        if curve.lr_best is not None and curve.sd_ln_lr is not None
    ]
    law = fit_batch_law(points)
    if law is None:
        return None
    open_ended = sum(curve.status != "interior" for curve in curves.values())
    flags = law.flags + ((f"the best batch is not bracketed at {open_ended} horizons",) if open_ended else ())
    return BatchResult(
        k=law.k, w=Range(value=law.w, low=law.w_low, high=law.w_high), n_points=law.n_points, flags=flags
    )


def _horizons(cells: Sequence[FitCell]) -> HorizonResult:
    """Predict each LR's loss at the longest horizon from its shorter ones, for one model and batch at a time."""
    groups: dict[tuple[object, ...], dict[float, list[tuple[float, float]]]] = {}
    for cell in cells:
        key = (cell.family, cell.n_params, cell.n_active, cell.batch_tokens)
        for lr, loss in zip(cell.lrs, cell.losses, strict=True):
            if loss is not None:
                groups.setdefault(key, {}).setdefault(lr, []).append((cell.tokens, loss))
    misses, covered, total = [], [], 0
    for by_lr in groups.values():
        series = [sorted(found) for found in by_lr.values() if len({tokens for tokens, _ in found}) >= MIN_HORIZONS]
        if not series:
            continue
        total += len(series)
        shorter = [[(tokens, loss) for tokens, loss in found if tokens < found[-1][0]] for found in series]
        laws = fit_horizons([([x for x, _ in found], [y for _, y in found]) for found in shorter])
        for law, found in zip(laws, series, strict=True):
            longest = found[-1][0]
            loss = fmean(loss for tokens, loss in found if tokens == longest)
            if law.reaches(longest):
                low, high = interval(law.predict(longest), law.dof)
                misses.append(abs(law.predict(longest).loss - loss))
                covered.append(low <= loss <= high)
    middle = sorted(misses)[len(misses) // 2] if misses else None
    return HorizonResult(
        n=total,
        n_usable=len(misses),
        median_miss=middle,
        worst_miss=max(misses, default=None),
        covered=sum(covered) / len(covered) if covered else None,
    )


def _flags(cells: Sequence[FitCell], *, is_empty: bool) -> Iterator[str]:
    chosen = [cell for cell in cells if cell.chosen]
    open_cells = [cell for cell in chosen if cell.lr_best is None]
    if open_cells:
        counts = Counter(cell.status for cell in open_cells)
        words = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        yield f"{len(open_cells)} of {len(chosen)} cells have no bracketed minimum and are in no law: {words}"
    single = sum(len(set(cell.lrs)) == 1 for cell in chosen)
    if single:
        yield f"{single} cells have only one learning rate"
    if not cells and not is_empty:
        yield "every cell is held out: there is nothing to fit"
    families = {cell.family for cell in chosen}
    if len(families) > 1:
        yield f"{len(families)} families share one law; fit each alone if their best LRs differ"
    dead = sum(all(loss is None for loss in cell.losses) for cell in chosen)
    if dead:
        yield f"in {dead} cells every run diverged"
    if any(cell.batch_tokens is None for cell in cells):
        yield "no batch sizes are given, so at each LR of a cell only its best run counts, whatever its batch"
