"""The drift study: sweep the LR at each point of each axis, with its rule off and on, and fit the drift."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from lrladder.benchmark.ladder import Rung
from lrladder.benchmark.studies.drift.config import (
    OFF,
    PAYER,
    AxisConfig,
    AxisName,
    DriftConfig,
    base_value,
    parametrization_name,
)
from lrladder.benchmark.studies.drift.decay import MINUS, decay_result
from lrladder.benchmark.studies.drift.drift import Drift, Optimum, Scatter, fit_drift, pooled_scatter
from lrladder.benchmark.studies.drift.loss import loss_change
from lrladder.benchmark.studies.drift.results import (
    Against,
    AxisResult,
    DriftResults,
    Finding,
    PointResult,
    VariantResult,
)
from lrladder.benchmark.studies.results import Found
from lrladder.paradigms.lab import Lab, Measurement
from lrladder.paradigms.published import BJORCK_D, FITTING_D, SDE_B, SDE_D
from lrladder.paradigms.sweep.bracket import Cell, CellLosses, collect, search_brackets
from lrladder.paradigms.sweep.curve import Curve
from lrladder.paradigms.sweep.noise import pooled_noise

# Octaves of the best LR per doubling that theory or published sweeps expect without the rule
EXPECTED: dict[AxisName, tuple[float, str]] = {
    "width": (-1.0, "hidden LRs fall as 1/width, arXiv 2203.03466"),
    "depth": (-0.5, "Depth-muP's 1/sqrt(depth), arXiv 2310.02244; with residual init 1/sqrt(2 depth) less"),
    "experts": (0.0, "no rule at a fixed share of active experts, arXiv 2601.20205"),
    "expert_width": (-1.0, "LR of the down projection falls as 1/expert width, arXiv 2601.20205; other roles do not"),
    "weight_decay": (0.0, "late drift when decay is not scaled up with width, arXiv 2510.19093; its size is not given"),
    "horizon": (
        round(FITTING_D, 2),
        f"arXiv 2601.05049; {-BJORCK_D} in 2409.19913, {-SDE_D} by the SDE rule of 2512.22382",
    ),
    "batch": (SDE_B, "square root rule of Adam, arXiv 2205.10287; 0.30 to 0.37 measured on Step Law grids"),
}


_AGAINST = {
    "less": "moves less than off",
    "more": "moves more than off",
    "no difference seen": "no difference from off seen",
    None: "the drift of off is not known",
}


class DriftStudy:
    """A drift study on a lab."""

    def __init__(self, config: DriftConfig, lab: Lab, on_stage: Callable[[str], None]) -> None:
        self.config, self.lab, self._on_stage = config, lab, on_stage

    def run(self) -> None:
        """Run axis by axis, so that an interrupted study has complete axes."""
        for axis in self.config.axes:
            cells = {rung.name: rung.horizons for rung in self.config.points(axis)}
            for variant in axis.variants:
                self._on_stage(f"{axis.axis}: {variant}")
                name = parametrization_name(axis.axis, variant)
                search_brackets(self.lab, cells, self.config.search, payer=PAYER, parametrization=name)

    def results(self, found: Found) -> DriftResults:
        """The results so far."""
        return assemble(self.config, found, flops=self.lab.cost_flops(PAYER))


def assemble(config: DriftConfig, found: Found, *, flops: float = 0.0) -> DriftResults:
    """Results from the measurements so far."""
    scatter = pooled_scatter(
        _optima(config, axis, name, found.measurements) for axis in config.axes for name in axis.variants
    )
    axes = tuple(_axis(config, axis, found.measurements, scatter) for axis in config.axes)
    return DriftResults(
        **found.common(config, tuple(_missing(axes))),
        holds_within=config.holds_within,
        axes=axes,
        flops=flops,
    )


def _missing(axes: Sequence[AxisResult]) -> Iterator[str]:
    for axis in axes:
        for variant in axis.variants:
            lacking = [str(point.value) for point in variant.points if not point.n and not point.n_diverged]
            if lacking:
                yield f"{axis.axis}, {variant.name}: {', '.join(lacking)}"


def _axis(config: DriftConfig, axis: AxisConfig, measurements: Sequence[Measurement], scatter: Scatter) -> AxisResult:
    found = {name: _variant(config, axis, name, measurements, scatter) for name in axis.variants}
    variants = tuple(
        variant.model_copy(update={"against_off": against(variant, found[OFF])}) for variant in found.values()
    )
    expected, source = EXPECTED[axis.axis]
    decay = decay_result(variants, axis.decay_fractions, config.schedule.decay_fraction, scatter)
    ruled = [variant for variant in variants if variant.name not in axis.decay_fractions]
    return AxisResult(
        axis=axis.axis,
        expected=expected,
        expected_source=source,
        variants=variants,
        sentence=_sentence(ruled, config.holds_within),
        decay=decay,
    )


def _variant(
    config: DriftConfig, axis: AxisConfig, name: str, measurements: Sequence[Measurement], scatter: Scatter
) -> VariantResult:
    points = _points(config, axis, name, measurements)
    drift = fit_drift(_optima(config, axis, name, measurements), scatter=scatter)
    fitted = {} if drift is None else _fitted(drift, config.holds_within)
    if name != OFF:
        fitted |= _loss_change((points[-1].rung, points[-1].horizon), axis.axis, name, measurements)
    return VariantResult.model_validate(
        {
            "name": name,
            "parametrization": parametrization_name(axis.axis, name),
            "rules": axis.variants[name].model_dump(),
            "points": points,
            **fitted,
        }
    )


def _points(
    config: DriftConfig, axis: AxisConfig, name: str, measurements: Sequence[Measurement]
) -> tuple[PointResult, ...]:
    parametrization = parametrization_name(axis.axis, name)
    found = [m for m in measurements if m.parametrization == parametrization]
    curves = _curves(found)
    return tuple(
        _point((rung.name, horizon), value, value / base_value(axis.axis, config.start), curves, found)
        for rung, horizon, value in _values(config, axis)
    )


def _optima(config: DriftConfig, axis: AxisConfig, name: str, measurements: Sequence[Measurement]) -> list[Optimum]:
    return [
        Optimum(math.log2(point.ratio), math.log2(point.lr_best), point.sd_ln_lr / math.log(2))
        for point in _points(config, axis, name, measurements)
        if point.lr_best is not None and point.sd_ln_lr is not None
    ]


def _values(config: DriftConfig, axis: AxisConfig) -> Iterator[tuple[Rung, int, int]]:
    for rung in config.points(axis):
        for horizon in rung.horizons:
            yield rung, horizon, horizon if axis.axis == "horizon" else int(rung.name.rsplit("-", 1)[1])


def _curves(measurements: Sequence[Measurement]) -> dict[Cell, Curve]:
    measured = collect(measurements)
    alone = {cell: losses.fit() for cell, losses in measured.items() if losses.lrs}
    noise = pooled_noise(alone.values()).shared
    return alone if noise is None else {cell: measured[cell].fit(noise=noise) for cell in alone}


def _point(
    cell: Cell,
    value: int,
    ratio: float,
    curves: Mapping[Cell, Curve],
    measurements: Sequence[Measurement],
) -> PointResult:
    here = [m for m in measurements if (m.rung, m.horizon) == cell]
    curve = curves.get(cell, Curve("few", 0))
    return PointResult(
        value=value,
        ratio=ratio,
        rung=cell[0],
        horizon=cell[1],
        status=curve.status,
        n=curve.n,
        n_diverged=sum(m.verdict == "diverged" for m in here),
        lr_best=curve.lr_best,
        lr_low=curve.lr_low,
        lr_high=curve.lr_high,
        sd_ln_lr=curve.sd_ln_lr,
        minimum=curve.minimum,
        curvature=curve.curvature,
        flags=curve.flags,
    )


def _fitted(drift: Drift, within: float) -> dict[str, object]:
    return {
        "drift": drift.slope,
        "drift_low": drift.low,
        "drift_high": drift.high,
        "at_base": drift.at_base,
        "n_optima": drift.n,
        "finding": judge(drift, within),
    }


def _loss_change(cell: Cell, axis: AxisName, variant: str, measurements: Sequence[Measurement]) -> dict[str, object]:
    measured = []
    for name in (variant, OFF):
        parametrization = parametrization_name(axis, name)
        here = collect(m for m in measurements if m.parametrization == parametrization)
        measured.append(here.get(cell, CellLosses()))
    if not all(losses.lrs for losses in measured) or (change := loss_change(*measured)) is None:
        return {}
    return {"loss_change": change.value, "loss_change_low": change.low, "loss_change_high": change.high}


def against(variant: VariantResult, off: VariantResult) -> Against | None:
    """Whether the best LR moves less or more than without the rule, in either direction, beyond the 90% intervals."""
    if variant.name == OFF or variant.drift is None or off.drift is None:
        return None
    assert variant.drift_high is not None
    assert off.drift_high is not None
    half = math.hypot(variant.drift_high - variant.drift, off.drift_high - off.drift)
    less = abs(off.drift) - abs(variant.drift)
    if abs(less) <= half:
        return "no difference seen"
    return "less" if less > 0 else "more"


def judge(drift: Drift, within: float) -> Finding:
    """The finding: holds if the whole interval is within +-`within` octaves per doubling, does not if none of it is."""
    if -within <= drift.low and drift.high <= within:
        return "holds"
    return "does not hold" if drift.low > within or drift.high < -within else "not decided"


def _sentence(variants: Sequence[VariantResult], within: float) -> str:
    """The result of the axis as a sentence with numbers."""
    parts = [_words(variant) for variant in variants]
    on = [variant for variant in variants if variant.name != OFF and variant.drift is not None]
    if not on:
        return ". ".join(parts) + "."
    findings = [f"{_rules(variant.name)}: {variant.finding} ({_AGAINST[variant.against_off]})" for variant in on]
    return f"{'. '.join(parts)}. Findings at a limit of ±{within:g} octaves per doubling: {'; '.join(findings)}."


def _rules(name: str) -> str:
    return f"the rules {name}" if name in (OFF, "on") else f"rule {name}"


def _words(variant: VariantResult) -> str:
    if variant.drift is None:
        return f"With {_rules(variant.name)} fewer than two sweeps have their minimum inside"
    value = variant.drift_words.replace("-", MINUS)
    moved = f"the best LR moves by {value} octaves per doubling"
    return f"With {_rules(variant.name)} {moved} (n = {variant.n_optima} minima)"
