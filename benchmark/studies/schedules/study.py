"""The study: sweep the LR under each schedule, choose one setting at the smallest cell, and see what it costs."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Literal, NamedTuple

from scipy import stats

from lrladder.benchmark.ladder import Rung
from lrladder.benchmark.studies.counts import count_trials
from lrladder.benchmark.studies.schedules.config import SCHEDULES, FamilyConfig, PowerStudyConfig, ScheduleName
from lrladder.benchmark.studies.schedules.regret import AtLr, Weights, at_lr
from lrladder.benchmark.studies.schedules.results import (
    Against,
    CellResult,
    Coefficient,
    LawFit,
    PowerResults,
    Scope,
    Setting,
)
from lrladder.paradigms.lab import Lab, Measurement
from lrladder.paradigms.laws.power import SEQ_LEN, PowerFit, PowerPoint, fit_by_paper, fit_by_regression
from lrladder.paradigms.sweep.bracket import CellLosses, collect, search_brackets
from lrladder.paradigms.sweep.curve import Curve

LEVEL = 0.9
Place = tuple[ScheduleName, str, int]  # schedule, rung, horizon


class Mean(NamedTuple):
    """Nats, with its 90% interval; None where nothing or no noise is known."""

    value: float | None
    low: float | None
    high: float | None


class Noise(NamedTuple):
    """Sd of one loss about its curve, nats; None without a degree of freedom."""

    sd: float | None
    df: int

    def half_width(self, variance: float) -> float | None:
        """Of the 90% interval of a sum of losses with this variance in units of one."""
        if self.sd is None:
            return None
        return float(stats.t.ppf((1 + LEVEL) / 2, self.df)) * self.sd * math.sqrt(variance)


def run_power(config: PowerStudyConfig, lab: Lab, *, on_stage: Callable[[str], None] | None = None) -> None:
    """Family by family and schedule by schedule, so that an interrupted study has whole parts."""
    for family in config.families:
        for schedule in SCHEDULES:
            if on_stage:
                on_stage(f"{family.name}: {schedule}")
            cells = {rung.name: rung.horizons for rung in config.swept_rungs(family, schedule)}
            search_brackets(lab, cells, config.search, payer=schedule, parametrization=schedule)


def assemble_power(
    config: PowerStudyConfig,
    *,
    measurements: Sequence[Measurement],
    flops: float = 0.0,
    corpus: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    trained_now: int = 0,
) -> PowerResults:
    """Results from whatever has been measured."""
    measured = _measured(measurements)
    noise = _pooled(found.fit() for found in measured.values() if found.lrs)
    families = [_Family(config, family, measured, noise) for family in config.families]
    cells = [family.cell(name, *place) for family in families for name in SCHEDULES for place in family.places(name)]
    missing = tuple(f"{cell.rung} at {cell.tokens:,} tokens, {cell.schedule}" for cell in cells if not cell.n)
    return PowerResults(
        preset=config.name,
        config_digest=config.digest,
        corpus_digest=str((corpus or {}).get("digest", "")),
        complete=not missing,
        missing=missing,
        trials=count_trials(measurements, trained_now=trained_now),
        noise=noise.sd,
        noise_df=noise.df,
        cells=tuple(cells),
        settings=tuple(row for family in families for schedule in SCHEDULES for row in family.settings(schedule)),
        against_wsd=tuple(row for family in families for row in family.against_wsd()),
        fits=tuple(_fits([family.name for family in config.families], cells)),
        measurements=tuple(measurements),
        flops=flops,
        config=config.model_dump(mode="json"),
        corpus=dict(corpus or {}),
        environment=dict(environment or {}),
    )


def _pooled(curves: Iterable[Curve]) -> Noise:
    """From the residuals of all curves."""
    known = [(curve.residual_sd, curve.dof) for curve in curves if curve.residual_sd is not None]
    df = sum(dof for _, dof in known)
    return Noise(math.sqrt(sum(sd**2 * dof for sd, dof in known) / df) if df else None, df)


def _measured(measurements: Sequence[Measurement]) -> dict[Place, CellLosses]:
    found: dict[Place, CellLosses] = {}
    for schedule in SCHEDULES:
        for (rung, horizon), measured in collect(m for m in measurements if m.parametrization == schedule).items():
            found[schedule, rung, horizon] = measured
    return found


class _Family:
    """One family's sweeps, and what its schedules' one setting costs at each."""

    def __init__(
        self, config: PowerStudyConfig, family: FamilyConfig, measured: Mapping[Place, CellLosses], noise: Noise
    ) -> None:
        self.config, self.family, self.measured, self.noise = config, family, measured, noise
        self.curves = {place: found.fit(noise=noise.sd) for place, found in measured.items() if found.lrs}
        base = next(rung for rung in config.swept_rungs(family, "wsd") if rung.batch_tokens == config.base_batch)
        self.smallest = (base.name, min(config.horizons))

    def places(self, schedule: ScheduleName) -> Iterator[tuple[Rung, int]]:
        return ((rung, horizon) for rung in self.config.swept_rungs(self.family, schedule) for horizon in rung.horizons)

    def one_lr(self, schedule: ScheduleName) -> float | None:
        """The best LR at the smallest cell."""
        curve = self.curves.get((schedule, *self.smallest))
        return curve.lr_best if curve else None

    def at(self, place: Place, lr: float | None) -> AtLr | None:
        measured = self.measured.get(place)
        if lr is None or measured is None:
            return None
        return at_lr(measured, lr, factor=self.config.search.factor, noise=self.noise.sd)

    def cell(self, schedule: ScheduleName, rung: Rung, horizon: int) -> CellResult:
        place = (schedule, rung.name, horizon)
        curve, measured = self.curves.get(place, Curve("few", 0)), self.measured.get(place, CellLosses())
        found = self.at(place, self.one_lr(schedule))
        regret = self._mean([(found.regret, found.regret_weights)] if found else [])
        return CellResult(
            family=self.family.name,
            rung=rung.name,
            n_active=rung.n_active,
            batch_tokens=rung.batch_tokens,
            tokens=horizon,
            schedule=schedule,
            status=curve.status,
            n=curve.n,
            n_diverged=sum(loss is None for loss in measured.losses),
            lr_best=curve.lr_best,
            lr_low=curve.lr_low,
            lr_high=curve.lr_high,
            sd_ln_lr=curve.sd_ln_lr,
            loss=curve.minimum,
            one_loss=found.loss if found else None,
            regret=regret.value,
            regret_low=regret.low,
            regret_high=regret.high,
            flags=curve.flags,
        )

    def settings(self, schedule: ScheduleName) -> Iterator[Setting]:
        """By scope, over all cells but the one where the setting was chosen."""
        places = [(rung, horizon) for rung, horizon in self.places(schedule) if (rung.name, horizon) != self.smallest]
        base = [place for place in places if place[0].batch_tokens == self.config.base_batch]
        scopes: dict[Scope, list[tuple[Rung, int]]] = {"all": places, "base batch": base}
        scopes["other batches"] = [place for place in places if place not in base]
        for scope, own in scopes.items():
            if own:
                yield self._setting(schedule, scope, [(rung.name, horizon) for rung, horizon in own])

    def _setting(self, schedule: ScheduleName, scope: Scope, others: Sequence[tuple[str, int]]) -> Setting:
        lr = self.one_lr(schedule)
        found = {cell: at for cell in others if (at := self.at((schedule, *cell), lr))}
        mean = self._mean([(at.regret, at.regret_weights) for at in found.values()])
        worst = max(found, key=lambda cell: found[cell].regret, default=None)
        return Setting(
            family=self.family.name,
            schedule=schedule,
            scope=scope,
            lr=lr,
            a=self._amplitude(lr) if lr and schedule == "power" else None,
            n_cells=len(found),
            n_untold=len(others) - len(found),
            mean_regret=mean.value,
            mean_low=mean.low,
            mean_high=mean.high,
            worst_regret=found[worst].regret if worst else None,
            worst_cell=f"{worst[0]} at {worst[1]:,} tokens" if worst else "",
            tokens_share=self._tokens(schedule),
        )

    def _amplitude(self, lr: float) -> float:
        """a of eta / beta = a T^b."""
        batch, tokens = self.config.base_batch / SEQ_LEN, min(self.config.horizons)
        return float(lr / batch * tokens**-self.config.power.exponent)

    def _tokens(self, schedule: ScheduleName) -> float:
        """A trunk and its decays, or a run for each horizon; over the latter."""
        settings, horizons = self.config.schedule_of(schedule), self.config.horizons
        starts = [settings.decay_start(horizon, self.config.base_batch) for horizon in horizons]
        decays = sum(horizon - start for horizon, start in zip(horizons, starts, strict=True))
        return (max(starts) + decays if settings.has_trunk else sum(horizons)) / sum(horizons)

    def against_wsd(self) -> Iterator[Against]:
        """At the base batch, where all schedules are swept."""
        for schedule in SCHEDULES[1:]:
            for tuned in (True, False):
                terms = list(self._differences(schedule, tuned=tuned))
                mean = self._mean(terms)
                yield Against(
                    family=self.family.name,
                    schedule=schedule,
                    tuned=tuned,
                    n_cells=len(terms),
                    mean=mean.value,
                    low=mean.low,
                    high=mean.high,
                )

    def _differences(self, schedule: ScheduleName, *, tuned: bool) -> Iterator[tuple[float, Weights]]:
        for rung, horizon in self.places(schedule):
            if rung.batch_tokens == self.config.base_batch:
                mine, wsd = (self._loss((name, rung.name, horizon), tuned=tuned) for name in (schedule, "wsd"))
                if mine and wsd:
                    yield mine.loss - wsd.loss, (*mine.loss_weights, *wsd.loss_weights)

    def _loss(self, place: Place, *, tuned: bool) -> AtLr | None:
        curve = self.curves.get(place)
        return self.at(place, curve.lr_best if tuned and curve else self.one_lr(place[0]))

    def _mean(self, terms: Sequence[tuple[float, Weights]]) -> Mean:
        """Of the terms' values, with the interval that the noise of their runs gives it."""
        if not terms:
            return Mean(None, None, None)
        mean = fmean(value for value, _ in terms)
        half = self.noise.half_width(sum(w**2 for _, weights in terms for w in weights) / len(terms) ** 2)
        return Mean(mean, None, None) if half is None else Mean(mean, mean - half, mean + half)


def _fits(families: Sequence[str], cells: Sequence[CellResult]) -> Iterator[LawFit]:
    """Of WSD's best LRs, by family."""
    for family in families:
        points = [
            PowerPoint(c.n_active, c.batch_tokens, c.tokens, math.log(c.lr_best), c.sd_ln_lr, c.loss)
            for c in cells
            if (c.family, c.schedule) == (family, "wsd") and c.lr_best and c.sd_ln_lr is not None and c.loss is not None
        ]
        if len({point.tokens for point in points}) >= 2:
            yield _fit(family, "paper", fit_by_paper(points))
            yield _fit(family, "regression", fit_by_regression(points))


def _fit(family: str, by: Literal["paper", "regression"], fit: PowerFit) -> LawFit:
    found = {name: Coefficient(**getattr(fit, name)._asdict()) for name in ("a", "b", "w", "s")}
    return LawFit(family=family, by=by, **found, n=fit.n, dof=fit.dof, residual_sd=fit.residual_sd, flags=fit.flags)
