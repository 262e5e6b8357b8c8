"""What a study's own runs say of its recommendation: the cost of a mistake, and the bands of a healthy run."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.own_runs.fit import loss_points
from lrladder.benchmark.own_runs.fit_results import FitCell
from lrladder.benchmark.recommend.ladder_logs import ladder_of
from lrladder.benchmark.recommend.mistake import Mistake, mistake_of
from lrladder.benchmark.recommend.sanity import Target
from lrladder.benchmark.recommend.tripwires import Band, bands_of
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.regret.recipes import label_of
from lrladder.benchmark.studies.regret.results import CurveResult, RegretResults
from lrladder.paradigms.laws.law import Prediction
from lrladder.paradigms.laws.loss_law import fit_loss_law
from lrladder.paradigms.paradigm import Proposal


def price(
    results: RegretResults,
    config: RegretConfig,
    name: str,
    proposal: Proposal,
    target: Target,
    *,
    tflops: float | None = None,
) -> Mistake | None:
    """What the LR of an entry costs if the true best LR lies at an end of its interval; None without an interval.

    It comes from all sweeps under the arm of the entry's search, those of the targets too. `tflops` is what one GPU
    sustains.
    """
    if proposal.lr_low is None or proposal.lr_high is None:
        return None
    cells = list(_cells(results, config, name))
    law = fit_loss_law(loss_points(cells), n_boot=0)
    found = Prediction(proposal.lr, proposal.lr_low, proposal.lr_high)
    return mistake_of(cells, found, target, None if law is None or law.flags else law, tflops=tflops)


def bands_in(folder: Path, *, arm: str, target: Target) -> tuple[Band, ...]:
    """The bands that `lrladder watch` would check, from the logs in the folder; empty if these are too few."""
    with suppress(InputError):
        return bands_of(ladder_of(folder, arm=arm), n_active=target.active, tokens=target.tokens)
    return ()


def _cells(results: RegretResults, config: RegretConfig, name: str) -> Iterator[FitCell]:
    """The sweeps under the arm of an entry's search, as cells of a fit."""
    label = label_of(config.entries[name].searched)
    own = next((entry.curves for entry in results.entries if entry.name == name), ())
    curves = {(found.rung, found.horizon): found for found in (*results.curves, *own) if found.parametrization == label}
    for curve in curves.values():
        yield _cell(results, config, curve)


def _cell(results: RegretResults, config: RegretConfig, curve: CurveResult) -> FitCell:
    rung = config.rungs.rung(curve.rung)
    place = (curve.rung, curve.horizon, curve.parametrization)
    runs = [
        run
        for run in results.measurements
        if (run.rung, run.horizon, run.parametrization) == place
        and run.verdict in ("finished", "diverged")
        and not run.role_lrs
    ]
    return FitCell(
        family="",
        n_params=rung.n_total,
        n_active=rung.n_active,
        tokens=curve.horizon,
        batch_tokens=rung.batch_tokens,
        chosen=True,
        status=curve.status,
        edge=None,
        n=curve.n,
        n_diverged=sum(run.loss is None for run in runs),
        lr_best=curve.lr_best,
        lr_low=curve.lr_low,
        lr_high=curve.lr_high,
        sd_ln_lr=curve.sd_ln_lr,
        loss=curve.minimum,
        curvature=curve.curvature,
        lrs=tuple(run.lr for run in runs),
        losses=tuple(run.loss for run in runs),
        flags=curve.flags,
    )
