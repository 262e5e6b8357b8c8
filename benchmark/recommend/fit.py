"""Recommends an LR for a model and horizon by a fitted law, with what weakens it and what one more sweep would add."""

import json

from pydantic import BaseModel, ConfigDict

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.own_runs.fit import law_points, loss_points
from lrladder.benchmark.own_runs.fit_results import FitResults
from lrladder.benchmark.own_runs.settings import SettingResult
from lrladder.benchmark.own_runs.settings import words as setting_words
from lrladder.benchmark.recommend.anchor import Assumed, by_published, needs_exponents, said
from lrladder.benchmark.recommend.few_runs import few_flag, soft_points
from lrladder.benchmark.recommend.mistake import Mistake, mistake_of
from lrladder.benchmark.recommend.mistake import words as price_words
from lrladder.benchmark.recommend.next_sweep import NextSweep, next_sweep, too_short
from lrladder.benchmark.recommend.next_sweep import words as sweep_words
from lrladder.benchmark.recommend.reach import require_reach
from lrladder.benchmark.recommend.sanity import Target, check_target
from lrladder.paradigms.extrapolation import far_flags
from lrladder.paradigms.laws.law import Law, Prediction, fit_law
from lrladder.paradigms.laws.loss_law import fit_loss_law
from lrladder.paradigms.published import FLOPS_PER_PARAMETER
from lrladder.paradigms.strategies.fallback import by_middle


class Recommendation(BaseModel):
    """The recommended LR and the expected loss (nats), with 90% intervals."""

    model_config = ConfigDict(frozen=True)

    lr: float
    lr_low: float
    lr_high: float
    loss: float | None
    loss_low: float | None
    loss_high: float | None
    extrapolation: float | None  # FLOPs of the target / FLOPs of the largest fitted cell; None without a fitted cell
    assumed: tuple[Assumed, ...] = ()  # LRs by published exponents, if the runs determine none
    mistake: Mistake | None  # what it costs if the best LR is at an end of the interval
    best_batch: float | None  # tokens, by the law of the best batch
    settings: tuple[SettingResult, ...]  # other settings than LR and batch that the table varies
    next_sweep: NextSweep | None  # None without a fitted cell
    flags: tuple[str, ...]

    def to_json(self) -> str:
        """What `lrladder recommend --json` prints."""
        return json.dumps(self.model_dump(mode="json"), indent=2)


def recommend(
    results: FitResults,
    target: Target,
    *,
    force: bool = False,
    tflops: float | None = None,
    budget: float | None = None,
) -> Recommendation:
    """The recommendation. One GPU sustains `tflops`. The next sweep may cost `budget` target runs at most.

    A fit within a budget always gives an answer. Raises InputError for a target that is invalid or too far, or if
    another fit has no minimum.
    """
    points = law_points(results.cells)
    few = None if points else _few(results)
    points = points or soft_points(results.cells)
    odd = check_target(target, points)
    if not points:
        return _published(results, target)
    law = fit_law(points)
    found = _predict(law, target)
    assumed = by_published(points, target) if needs_exponents(law) else ()
    loss_law = fit_loss_law(loss_points(results.cells))
    # if the cells do not determine the law, it fits them exactly, and its interval says nothing
    loss = loss_law.predict(target.active, target.tokens) if loss_law and not loss_law.flags else None
    extrapolation = target.flops / max(point.n_active * point.tokens for point in points) / FLOPS_PER_PARAMETER
    far = require_reach(extrapolation, forced=force)
    sweep = next_sweep(law, target, budget)
    return Recommendation(
        **found._asdict(),
        **dict(zip(("loss", "loss_low", "loss_high"), loss or (None,) * 3, strict=True)),
        extrapolation=extrapolation,
        assumed=assumed,
        mistake=mistake_of(results.cells, found, target, None if loss is None else loss_law, tflops=tflops),
        best_batch=_best_batch(results, target),
        settings=results.settings,
        next_sweep=sweep,
        flags=(
            *([few] if few else []),
            *(*far, *odd, *said(assumed), *_of_law(law, target), *far_flags(extrapolation)),
            *too_short(sweep, points),
            *(f"no loss is predicted: {flag}" for flag in (loss_law.flags if loss_law else ())),
            *results.flags,
        ),
    )


def _few(results: FitResults) -> str:
    """The flag of an answer without a bracketed minimum. Raises InputError for a fit that is not within a budget."""
    if results.budget is None:
        raise InputError(f"{results.source}: no cell has a bracketed minimum, so there is no law; see its cells' flags")
    return few_flag(results.cells)


def _published(results: FitResults, target: Target) -> Recommendation:
    """The answer of published laws, if the budget bought no two runs of any cell."""
    found = by_middle(target.active, target.n_params, target.tokens, why="no cell has two finished LRs; raise --budget")
    return Recommendation(
        lr=found.lr,
        lr_low=found.lr_low,
        lr_high=found.lr_high,
        loss=None,
        loss_low=None,
        loss_high=None,
        extrapolation=None,
        mistake=None,
        best_batch=None,
        settings=results.settings,
        next_sweep=None,
        flags=(*found.flags, *results.flags),
    )


def _of_law(law: Law, target: Target) -> tuple[str, ...]:
    """What weakens the law, and its answer at the target."""
    place = {"n_total": target.n_params, "batch_tokens": target.batch_tokens}
    return law.flags_by(target.batch_tokens) + law.flags_at(target.active, target.tokens, **place)


def _best_batch(results: FitResults, target: Target) -> float | None:
    law = results.batch_law
    return None if law is None else float(law.k * target.tokens**law.w.value)


def _predict(law: Law, target: Target) -> Prediction:
    return law.predict(target.active, target.tokens, n_total=target.n_params, batch_tokens=target.batch_tokens)


def words(found: Recommendation) -> str:
    """The recommendation as text."""
    lines = [f"lr {found.lr:.4g}, 90% interval {found.lr_low:.4g} to {found.lr_high:.4g}"]
    if found.loss is not None:
        lines.append(f"loss {found.loss:.4f} nats, 90% interval {found.loss_low:.4f} to {found.loss_high:.4f}")
    lines += [f"assumed, exponents of {one.source}: lr {one.lr:.4g} ({one.convention})" for one in found.assumed]
    if found.mistake is not None:
        lines += price_words(found.mistake, found.lr_high, found.lr)
    if found.best_batch is not None:
        lines.append(f"best batch by the law of the table: {found.best_batch:,.4g} tokens")
    lines += [setting_words(one) for one in found.settings]
    if found.extrapolation is not None:
        lines.append(f"extrapolation {found.extrapolation:.3g}x in FLOPs over the largest cell fitted")
    if found.next_sweep is not None:
        lines.append(sweep_words(found.next_sweep))
    lines += [f"flag: {flag}" for flag in found.flags]
    return "\n".join(lines)
