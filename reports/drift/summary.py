"""Shows a drift study in a line, and as a table on the terminal."""

from collections.abc import Sequence

from rich.console import Console

from lrladder.benchmark.studies.drift.config import OFF
from lrladder.benchmark.studies.drift.results import AxisResult, DriftResults, VariantResult
from lrladder.benchmark.tables import WordTable
from lrladder.reports.results_page import Held, in_a_line
from lrladder.reports.terminal import show_counts


def held(results: DriftResults) -> Held:
    found = [f"{axis.axis} {v.name} {v.finding}" for axis in results.axes for v in ruled(axis)]
    found += [f"{axis.axis} at a shorter decay: {axis.decay.answer}" for axis in results.axes if axis.decay]
    return Held(
        "axes",
        results.preset,
        ", ".join(axis.axis for axis in results.axes),
        in_a_line(found, "no axis has been swept yet"),
        results.complete,
    )


def show(results: DriftResults, console: Console) -> None:
    """One row per axis and variant on the terminal."""
    title = f"{results.preset}: how far the best LR moves when an axis doubles, in octaves [90% interval]"
    heads = ("axis", "rules", "finding", "moves, compared with off", "minima", "drift", "expected without rule")
    table = WordTable(title, heads, left=4)
    for axis in results.axes:
        for variant in axis.variants:
            interval = "-" if variant.drift is None else variant.drift_words
            known = f"{axis.expected:+.2f}" if variant.name == OFF else ""
            table.add_row(
                axis.axis, variant.name, *_words(variant, ruled(axis)), f"{variant.n_optima}", interval, known
            )
    console.print(table)
    for axis in results.axes:
        if axis.decay:
            console.print(f"{axis.axis}: {axis.decay.sentence}", highlight=False, markup=False)
    show_counts(results.trials, console)


def _words(variant: VariantResult, with_rule: Sequence[VariantResult]) -> tuple[str, str]:
    return (variant.finding if variant in with_rule else "", variant.against_off or "")


def ruled(axis: AxisResult) -> list[VariantResult]:
    """The variants with a rule, whose finding says whether it holds; not those with another decay."""
    decays = {point.variant for point in axis.decay.points} if axis.decay else set()
    return [v for v in axis.variants if v.name != OFF and v.name not in decays]
