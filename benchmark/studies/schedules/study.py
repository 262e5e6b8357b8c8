"""The study of schedules: sweep the LR, choose one setting per schedule at the smallest cell, and find its cost."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Literal, NamedTuple

from lrladder.benchmark.ladder import Rung
from lrladder.benchmark.studies.results import Found
from lrladder.benchmark.studies.schedules.config import SCHEDULE_NAMES, FamilyConfig, ScheduleName, SchedulesConfig
from lrladder.benchmark.studies.schedules.regret import AtLr, Weights, at_lr
from lrladder.benchmark.studies.schedules.results import (
    Against,
    CellResult,
    Coefficient,
    LawFit,
    SchedulesResults,
    Scope,
    Setting,
)
from lrladder.paradigms.lab import Lab, Measurement
from lrladder.paradigms.laws.power import PowerFit, PowerPoint, fit_by_paper, fit_by_regression
from lrladder.paradigms.published import POWER_SEQ_LEN
from lrladder.paradigms.sweep.bracket import CellLosses, collect, search_brackets
from lrladder.paradigms.sweep.curve import Curve
from lrladder.paradigms.sweep.noise import Noise, pooled_noise

Place = tuple[ScheduleName, str, int]  # schedule, rung, horizon


class Mean(NamedTuple):
    """A mean in nats with 90% interval. None if there are no values, or no noise for the interval."""

    value: float | None
    low: float | None
    high: float | None


class SchedulesStudy:
    """A study of schedules on a lab."""

    def __init__(self, config: SchedulesConfig, lab: Lab, on_stage: Callable[[str], None]) -> None:
        self.config, self.lab, self._on_stage = config, lab, on_stage

    def run(self) -> None:
        """Run family by family and schedule by schedule, so that an interrupted study has complete parts."""
        for family in self.config.families:
            for schedule in SCHEDULE_NAMES:
                self._on_stage(f"{family.name}: {schedule}")
                cells = {rung.name: rung.horizons for rung in self.config.swept_rungs(family, schedule)}
                search_brackets(self.lab, cells, self.config.search, payer=schedule, parametrization=schedule)

    def results(self, found: Found) -> SchedulesResults:
        """The results so far."""
        return assemble(self.config, found, flops=sum(self.lab.cost_flops(schedule) for schedule in SCHEDULE_NAMES))


def assemble(config: SchedulesConfig, found: Found, *, flops: float = 0.0) -> SchedulesResults:
    """Results from the measurements so far."""
    measured = _measured(found.measurements)
    noise = pooled_noise(one.fit() for one in measured.values() if one.lrs)
    families = [_Family(config, family, measured, noise) for family in config.families]
    cells = [
        family.cell(name, *place) for family in families for name in SCHEDULE_NAMES for place in family.places(name)
    ]
    missing = tuple(f"{cell.rung} at {cell.tokens:,} tokens, {cell.schedule}" for cell in cells if not cell.n)
    return SchedulesResults(
        **found.common(config, missing),
        noise=noise.sd,
        noise_df=noise.dof,
        cells=tuple(cells),
        settings=tuple(row for family in families for schedule in SCHEDULE_NAMES for row in family.settings(schedule)),
        against_wsd=tuple(row for family in families for row in family.against_wsd()),
        fits=tuple(_fits([family.name for family in config.families], cells)),
        flops=flops,
    )


def _measured(measurements: Sequence[Measurement]) -> dict[Place, CellLosses]:
    found: dict[Place, CellLosses] = {}
    for schedule in SCHEDULE_NAMES:
        for (rung, horizon), measured in collect(m for m in measurements if m.parametrization == schedule).items():
            found[schedule, rung, horizon] = measured
    return found


class _Family:
    """The sweeps of one family, and the cost of the one setting of each schedule at every cell."""

    def __init__(
        self, config: SchedulesConfig, family: FamilyConfig, measured: Mapping[Place, CellLosses], noise: Noise
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
        """The settings by scope, over all cells except the one where they were chosen."""
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
        """The amplitude a in eta / beta = a T^b."""
        batch, tokens = self.config.base_batch / POWER_SEQ_LEN, min(self.config.horizons)
        return float(lr / batch * tokens**-self.config.power.exponent)

    def _tokens(self, schedule: ScheduleName) -> float:
        """Tokens to evaluate all horizons (a trunk with decays, or separate runs) / tokens of separate runs."""
        settings, horizons = self.config.schedule_of(schedule), self.config.horizons
        shared = settings.run_tokens(horizons, self.config.base_batch) if settings.has_trunk else sum(horizons)
        return shared / sum(horizons)

    def against_wsd(self) -> Iterator[Against]:
        """The comparisons with WSD, at the base batch, where all schedules are swept."""
        for schedule in SCHEDULE_NAMES[1:]:
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
        """The mean of the values, with the interval from the noise of their runs."""
        if not terms:
            return Mean(None, None, None)
        mean = fmean(value for value, _ in terms)
        half = self.noise.half_width(sum(w**2 for _, weights in terms for w in weights) / len(terms) ** 2)
        return Mean(mean, None, None) if half is None else Mean(mean, mean - half, mean + half)


def _fits(families: Sequence[str], cells: Sequence[CellResult]) -> Iterator[LawFit]:
    """The fitted laws of WSD's best LRs, by family."""
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
