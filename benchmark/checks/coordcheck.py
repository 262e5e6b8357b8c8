"""The coordinate check of the muTransfer rules of a study, with standard parametrization for comparison."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console
from torch import Tensor

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.tables import WordTable
from lrladder.models import parametrization
from lrladder.models.coordcheck import (
    BAND,
    TRANSIENTS,
    Axis,
    Coordinate,
    Quantity,
    Settings,
    band,
    grow,
    is_judged,
    passes,
    trace,
)
from lrladder.models.parametrization import Built
from lrladder.models.rules import STANDARD, Rule, Rules
from lrladder.models.shape import ModelShape
from lrladder.models.slope import Slope, fit_slope
from lrladder.models.transformer import Transformer

FACTORS = (1, 2, 4, 8)
# Few tokens, of few kinds: the rules assume a width far above the number of directions in the data. With more
# directions than width, an update is nearly random for each token and shrinks like width^-1/2, docs/coordcheck.md.
SEQUENCES, LENGTH, KINDS = 4, 16, 4
LR_FRACTION = 1 / 8  # of the LR guess, as early in warm-up; at the guess itself, 4 steps memorise the batch; assumption
MAX_PARAMETERS = 200_000_000  # of the largest model: 4 GB for fp32 weights, a copy, gradients and Adam's state

Builder = Callable[[ModelShape, int], Built]  # (shape, seed) -> an initialised model with its rules


class Row(NamedTuple):
    """The size of one coordinate (activations or updates of a role) in one model."""

    axis: Axis
    factor: int
    seed: int
    coordinate: Coordinate


class Check(NamedTuple):
    """The slope of one coordinate along one axis after one step. `role` is unique within an axis and a step."""

    axis: Axis
    role: str
    step: int
    slope: float
    low: float
    high: float
    outcome: str  # pass | fail
    n: int
    note: str  # why it passes although the slope is outside the band


class Arm(NamedTuple):
    """The measurements and checks of one parametrization."""

    rows: tuple[Row, ...]
    checks: tuple[Check, ...]

    @property
    def outcome(self) -> str:
        """pass or fail: fail if any check failed."""
        return "fail" if any(check.outcome == "fail" for check in self.checks) else "pass"


class Result(NamedTuple):
    """The check of a study. `ours` is for its muTransfer rules, `standard` for standard parametrization.

    `same`: the axes along which the two set equal values. There they are measured once.
    """

    preset: str
    base: ModelShape
    rules: Rules
    settings: Settings
    steps: int
    seeds: int
    ours: Arm
    standard: Arm
    same: tuple[Axis, ...]

    def to_dict(self) -> dict[str, Any]:
        """The output of `--json`. A slope that could not be fitted is null."""
        return {
            "outcome": self.ours.outcome,
            "checks": [_as_json(check) for check in self.ours.checks],
            "standard": {
                "outcome": self.standard.outcome,
                "checks": [_as_json(check) for check in self.standard.checks],
            },
            "preset": self.preset,
            "base": self.base.model_dump(),
            "factors": list(FACTORS),
            "lr": self.settings.lr,
            "steps": self.steps,
            "seeds": self.seeds,
        }


def render(result: Result, page: Path | None, console: Console) -> None:
    """Print the steepest slope of every role along every axis, and the outcomes."""
    heads = ("axis", "role", "steepest slope [90%]", "step", "outcome")
    table = WordTable(f"Coordinate check: {result.preset}", heads, left=len(heads))
    for check in _steepest(result.ours.checks):
        interval = f"{check.slope:+.2f} [{check.low:+.2f}, {check.high:+.2f}]"
        table.add_row(check.axis, check.role, interval, str(check.step), check.note or check.outcome)
    console.print(table)
    console.print(f"muTransfer rules: {result.ours.outcome}; standard parametrization: {result.standard.outcome}")
    if page:
        console.print(f"Report: {page}", soft_wrap=True)


def _steepest(checks: Sequence[Check]) -> list[Check]:
    """One check per axis and role: the steepest failed one, or the steepest if all pass."""
    found: dict[tuple[str, str], Check] = {}
    for check in checks:
        known = found.setdefault((check.axis, check.role), check)
        if (check.outcome == "fail", abs(check.slope)) > (known.outcome == "fail", abs(known.slope)):
            found[check.axis, check.role] = check
    return list(found.values())


def _as_json(check: Check) -> dict[str, Any]:
    return {key: None if value != value else value for key, value in check._asdict().items()}


def check(
    config: RegretConfig, *, steps: int, seeds: int, on_axis: Callable[[Axis], None] = lambda axis: None
) -> Result:
    """Check both parametrizations along every axis that the base has. Raises InputError if a model is too large."""
    base, settings = config.base.shape, probe_settings(config)
    axes = axes_of(base)
    _refuse_large(config, axes)
    rules = config.rules_of("mup")
    ours, standard = (partial(_build, config, which) for which in (rules, STANDARD))
    same = tuple(axis for axis in axes if _table(config, rules, axis) == _table(config, STANDARD, axis))
    found: dict[str, list[Row]] = {"ours": [], "standard": []}
    for axis in axes:
        on_axis(axis)
        rows = list(measure(ours, base, axis, settings, steps=steps, seeds=seeds))
        found["ours"] += rows
        found["standard"] += rows if axis in same else measure(standard, base, axis, settings, steps=steps, seeds=seeds)
    arms = {name: Arm(tuple(rows), tuple(judge(rows))) for name, rows in found.items()}
    return Result(config.name, base, rules, settings, steps, seeds, arms["ours"], arms["standard"], same)


def probe_settings(config: RegretConfig) -> Settings:
    """The optimizer settings of the study, with a fraction of its LR guess."""
    optimizer = config.optimizer
    return Settings(
        lr=LR_FRACTION * config.oracle_guess("mup"),
        betas=(optimizer.beta1, optimizer.beta2),
        eps=optimizer.eps,
        weight_decay=optimizer.weight_decay,
        grad_clip=optimizer.grad_clip,
        aux_loss_coef=optimizer.aux_loss_coef,
        z_loss_coef=optimizer.z_loss_coef,
        role_lrs=tuple(config.recipe.role_lrs(tied=config.base.shape.architecture.tied).items()),
    )


def axes_of(base: ModelShape) -> tuple[Axis, ...]:
    """The axes along which this model can grow."""
    return ("width", "depth", "experts", "expert_width") if base.num_experts > 1 else ("width", "depth", "expert_width")


def measure(
    build: Builder, base: ModelShape, axis: Axis, settings: Settings, *, steps: int, seeds: int
) -> Iterator[Row]:
    """Train a model of each size and seed on one fixed batch. The seed changes only the init."""
    tokens = probe_batch(base.vocab_size)
    for factor in FACTORS:
        for seed in range(seeds):
            built = build(grow(base, axis, factor), seed)
            yield from (Row(axis, factor, seed, found) for found in trace(built, tokens, settings, steps=steps))


def probe_batch(vocab_size: int) -> Tensor:
    """Tokens [SEQUENCES, LENGTH + 1] with KINDS ids, spread over the vocabulary. Half of them follow a fixed order."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(KINDS, (SEQUENCES, LENGTH + 1), generator=generator)
    follows = torch.rand(SEQUENCES, LENGTH + 1, generator=generator) < 0.5
    for place in range(1, LENGTH + 1):
        drawn[:, place] = torch.where(follows[:, place], (drawn[:, place - 1] + 1) % KINDS, drawn[:, place])
    return drawn * (vocab_size // KINDS)


def judge(rows: Sequence[Row]) -> Iterator[Check]:
    """A check for every coordinate that has a criterion, in the order of the rows."""
    series: dict[tuple[Axis, str, Quantity, int], list[Row]] = {}
    for row in rows:
        at = row.coordinate
        series.setdefault((row.axis, at.role, at.quantity, at.step), []).append(row)
    for (axis, role, quantity, step), some in series.items():
        if not is_judged(axis, role, quantity, step):
            continue
        fit = fit_slope([row.factor for row in some], [row.coordinate.rms for row in some])
        yield Check(
            axis=axis,
            role=role if quantity == "size" else f"{role}.{quantity}",
            step=step,
            **fit._asdict(),
            outcome="pass" if passes(axis, role, quantity, step, fit) else "fail",
            n=len(some),
            note=_note(axis, role, quantity, step, fit),
        )


def _note(axis: Axis, role: str, quantity: Quantity, step: int, fit: Slope) -> str:
    """The reason why a slope outside the band passes, else an empty text."""
    if abs(fit.slope) <= BAND or not passes(axis, role, quantity, step, fit):
        return ""
    low, high = band(axis, role, quantity, step)
    if not low <= fit.slope <= high:
        return f"too uncertain to tell whether it lies within {low if fit.slope < low else high:g}; use more seeds"
    return f"it may fall at step 0: {TRANSIENTS[axis, role]}"


def _build(config: RegretConfig, rules: Rules, shape: ModelShape, seed: int) -> Built:
    return parametrization.build(
        rules,
        shape,
        config.base.shape,
        backend="grouped",  # runs on CPUs; all backends compute the same function
        embedding_std=config.optimizer.embedding_std,
        seed=seed,
    )


def _table(config: RegretConfig, rules: Rules, axis: Axis) -> dict[str, Rule]:
    with torch.device("meta"):
        model = Transformer(grow(config.base.shape, axis, max(FACTORS)))
    return parametrization.rule_table(rules, model, config.base.shape, embedding_std=config.optimizer.embedding_std)


def _refuse_large(config: RegretConfig, axes: Sequence[Axis]) -> None:
    shapes = [grow(config.base.shape, axis, max(FACTORS)) for axis in axes]
    largest = max(shape.n_total + shape.n_embedding for shape in shapes)
    if largest > MAX_PARAMETERS:
        raise InputError(
            f"base {config.base_rung}: the largest model of the check would be {max(FACTORS)} times as large and have "
            f"{largest:,} parameters, more than {MAX_PARAMETERS:,}; the rules depend only on ratios, so check a "
            "config with a smaller proxy"
        )
