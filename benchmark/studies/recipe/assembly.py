"""Makes the results of a tuning from the measurements so far, by repeating its search on them."""

from collections.abc import Iterator
from statistics import fmean, stdev
from typing import NamedTuple

import yaml

from lrladder.benchmark.studies.recipe.config import TuningConfig
from lrladder.benchmark.studies.recipe.ingredients import LR, Setting, name_of
from lrladder.benchmark.studies.recipe.noise import Losses
from lrladder.benchmark.studies.recipe.results import CurvePoint, IngredientResult, TuningResults
from lrladder.benchmark.studies.recipe.runs import Played
from lrladder.benchmark.studies.recipe.search import Direction, Explored
from lrladder.benchmark.studies.recipe.tuning import Tuning
from lrladder.benchmark.studies.results import Found


class Difference(NamedTuple):
    """A difference of two mean losses, in nats, with its 90% interval. None if a seed diverged or is missing."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


def assemble(config: TuningConfig, found: Found) -> TuningResults:
    """The results of a study, complete or not."""
    tuning = Tuning(config, Played(found.measurements))
    tuning.run()
    gain = _difference(tuning, tuning.old)
    noise, base_flops = tuning.noise(), float(config.start.shape.flops_per_token * config.start.tokens)
    return TuningResults(
        **found.common(config, (tuning.missing,) if tuning.missing else ()),
        ingredients=tuple(_ingredient(tuning, direction) for direction in tuning.search.directions()),
        old=tuning.old,
        new=tuning.new,
        old_loss=_mean(tuning.fresh.of(tuning.old)),
        new_loss=_mean(tuning.fresh.of(tuning.new)),
        gain=gain.value,
        gain_low=gain.low,
        gain_high=gain.high,
        n_seeds=len(config.fresh_seeds),
        noise=noise.sd if noise.df else None,
        noise_df=noise.df,
        passes=tuning.search.passes,
        stopped=tuning.search.stopped,
        search_runs=tuning.searched.count,
        last_runs=tuning.fresh.count,
        budget=config.budget,
        base_flops=base_flops,
        flops=base_flops * (tuning.searched.count + tuning.fresh.count),
        fragment=_fragment(config, tuning),
    )


def _difference(tuning: Tuning, other: Setting) -> Difference:
    """Loss of another setting minus that of the new recipe, on the fresh seeds."""
    theirs, ours = tuning.fresh.of(other), tuning.fresh.of(tuning.new)
    if theirs is None or ours is None or other == tuning.new:
        return Difference()
    pairs = [a - b for a, b in zip(theirs, ours, strict=True) if a is not None and b is not None]
    if len(pairs) < len(ours):
        return Difference()
    value, half = fmean(pairs), tuning.noise().half_width(len(pairs))
    return Difference(value) if half is None else Difference(value, value - half, value + half)


def _mean(losses: Losses | None) -> float | None:
    known = [loss for loss in losses or () if loss is not None]
    return fmean(known) if losses is not None and len(known) == len(losses) else None


def _ingredient(tuning: Tuning, direction: Direction) -> IngredientResult:
    search, name = tuning.search, direction[0]
    one, curve = search.ingredients[name], search.curve(direction)
    explored = search.explored.get(direction, Explored(search.position, {}))
    bracket = (None, None) if curve is None else curve.bracket
    at = explored.position[name]
    low, high = (None if x is None else one.value(at + x) for x in bracket)
    worth = Difference() if len(direction) > 1 else _worth(tuning, name)
    return IngredientResult(
        name="+".join(direction),
        moves=direction,
        old=one.old,
        chosen=tuning.new[name],
        status="not reached" if curve is None else curve.status,
        low=low,
        high=high,
        curve=tuple(_point(one.value(at + x), at + x, losses) for x, losses in sorted(explored.points.items())),
        worth=worth.value,
        worth_low=worth.low,
        worth_high=worth.high,
        n_seeds=0 if worth.value is None else len(tuning.config.fresh_seeds),
        note="; ".join(_notes(tuning, direction, explored)),
    )


def _worth(tuning: Tuning, name: str) -> Difference:
    put_back = tuning.put_back().get(name)
    return Difference() if put_back is None else _difference(tuning, put_back)


def _point(value: float, octaves: float, losses: Losses) -> CurvePoint:
    known = [loss for loss in losses if loss is not None]
    return CurvePoint(
        value=value,
        octaves=octaves,
        loss=_mean(losses),
        n=len(known),
        sd=stdev(known) if len(known) > 1 else None,
    )


def _notes(tuning: Tuning, direction: Direction, explored: Explored) -> Iterator[str]:
    now = tuning.search.position
    moved = [name for name, octaves in explored.position.items() if name not in direction and now[name] != octaves]
    if explored.points and tuning.search.stopped and not tuning.search.is_settled(direction):
        yield "not settled when the search stopped"
    if moved and explored.points:
        yield f"searched before {' and '.join(moved)} changed"


def _fragment(config: TuningConfig, tuning: Tuning) -> str:
    """The new recipe as a part of a config, to paste. Optimizer keys that it does not name keep their defaults."""
    name = name_of(tuning.new, tuning.old)
    parts = {
        "recipe": config.recipe_of(name).model_dump(mode="json"),
        "optimizer": config.optimizer_of(name).model_dump(mode="json", exclude_defaults=True),
    }
    return yaml.safe_dump(parts, sort_keys=False) + f"# of each search: lr_guess: {tuning.new[LR]!r}\n"
