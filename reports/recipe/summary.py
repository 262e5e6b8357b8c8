"""Shows a tuned recipe in a line, in sentences, and as a table on the terminal."""

from collections.abc import Iterator

from rich.console import Console

from lrladder.benchmark.studies.recipe.results import IngredientResult, TuningResults
from lrladder.benchmark.tables import WordTable
from lrladder.reports.formats import millinats_within
from lrladder.reports.results_page import Held, in_a_line
from lrladder.reports.terminal import interval, show_counts


def held(results: TuningResults) -> Held:
    """The tuning in a line, for `lrladder index` and `compare`."""
    changed = (f"{name} {results.old[name]:.4g} to {value:.4g}" for name, value in _changed(results).items())
    gain = "" if results.gain is None else f"gain {interval(results.gain, None, None)} millinats; "
    line = in_a_line(changed, "nothing has changed", head=gain)
    return Held("recipe", results.preset, "the base", line, results.complete)


def _changed(results: TuningResults) -> dict[str, float]:
    return {name: value for name, value in results.new.items() if value != results.old[name]}


def _open_octaves(one: IngredientResult) -> float:
    """How far from the chosen value the side without a worse point was measured."""
    chosen = next((point.octaves for point in one.curve if point.value == one.chosen), 0.0)
    measured = [point.octaves - chosen for point in one.curve]
    return round(max(measured) if one.high is None else -min(measured), 1)


def sentences(results: TuningResults) -> Iterator[str]:
    """Sentences that say what the search found, by how much the loss falls, and what is still open."""
    if results.gain is not None:
        within = millinats_within(results.gain, results.gain_low, results.gain_high)
        yield (
            f"The new recipe lowers the loss of the base by {within} millinats (90% interval, {results.n_seeds} seeds "
            "that the search did not use)."
        )
    elif results.complete and not _changed(results):
        yield "The search changed nothing: the old recipe stays."
    elif results.complete:
        yield "The gain of the new recipe is not known, because a run of the final comparison diverged."
    flat = [one.name for one in results.ingredients if one.status == "flat" and one.chosen == one.old]
    if flat:
        yield f"No value makes a difference outside the noise, so the old value stays, for {', '.join(flat)}."
    edge = [f"{one.name} ({_open_octaves(one):g} octaves)" for one in results.ingredients if one.status == "edge"]
    if edge:
        yield (
            "On one side no value up to the end of the range is worse outside the noise, for "
            f"{', '.join(edge)}. Brackets hold how far that end is from the chosen value."
        )
    if results.stopped:
        yield f"The search stopped early: {results.stopped}."
    without = [one.name for one in results.ingredients if one.status == "not reached"]
    if without:
        yield f"The search has not yet bracketed {', '.join(without)}."
    yield (
        f"The search took {results.search_runs} runs of the base and the final comparison {results.last_runs}, "
        f"{results.flops:.1e} FLOPs in all. No paradigm is charged for them, because all share the recipe."
    )


def show(results: TuningResults, console: Console) -> None:
    """Print a table with a row per ingredient, then the sentences and the new recipe."""
    title = f"{results.preset}: the base recipe. Worth: rise of the loss without the change (millinats, 90%)"
    table = WordTable(title, ("ingredient", "status", "old", "new", "worse beyond", "worth"), left=2)
    for one in results.ingredients:
        worth = interval(one.worth, one.worth_low, one.worth_high)
        table.add_row(one.name, one.status, f"{one.old:.4g}", f"{one.chosen:.4g}", beyond(one), worth)
    console.print(table)
    for sentence in sentences(results):
        console.print(sentence)
    console.print(results.fragment, highlight=False, markup=False)
    show_counts(results.trials, console)


def beyond(one: IngredientResult) -> str:
    """The nearest values on either side that are worse than the best, in words."""
    low, high = ("none" if value is None else f"{value:.4g}" for value in (one.low, one.high))
    return f"{low}, {high}" if one.curve else "-"
