"""Shows a study of schedules in a line, and as a table on the terminal."""

from rich.console import Console

from lrladder.benchmark.studies.schedules.results import SchedulesResults
from lrladder.benchmark.tables import WordTable
from lrladder.reports.formats import millinats
from lrladder.reports.results_page import Held, in_a_line
from lrladder.reports.terminal import interval, show_counts


def held(results: SchedulesResults) -> Held:
    """The study in a line, for `lrladder index` and `compare`."""
    found = (
        f"{s.family} {s.schedule} {millinats(s.mean_regret)} millinats" for s in results.settings if s.scope == "all"
    )
    return Held(
        "power",
        results.preset,
        ", ".join(dict.fromkeys(cell.family for cell in results.cells)),
        in_a_line(found, "no sweep has been measured yet", head="mean regret of one setting: "),
        results.complete,
    )


def show(results: SchedulesResults, console: Console) -> None:
    """One row per family and schedule on the terminal."""
    title = f"{results.preset}: what one LR setting, tuned at the smallest cell, loses elsewhere [90%]"
    numbers = ("LR of the setting", "cells", "mean regret, millinats", "worst", "tokens (separate runs = 1)")
    table = WordTable(title, ("family", "schedule", "over", *numbers), left=3)
    for setting in results.settings:
        table.add_row(
            setting.family,
            setting.schedule,
            setting.scope,
            "-" if setting.lr is None else f"{setting.lr:.3g}",
            f"{setting.n_cells}",
            interval(setting.mean_regret, setting.mean_low, setting.mean_high),
            interval(setting.worst_regret, None, None),
            f"{setting.tokens_share:.2f}",
        )
    console.print(table)
    show_counts(results.trials, console)
