"""Shows a regret study in one line, and as a table on the terminal."""

from collections.abc import Iterator

from rich.console import Console

from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.benchmark.tables import WordTable
from lrladder.reports.formats import short
from lrladder.reports.regret.goals import UNSCORED, is_unscored, show_goals
from lrladder.reports.results_page import Held, in_a_line
from lrladder.reports.terminal import interval, show_counts


def held(results: RegretResults) -> Held:
    """The study in a line, for `lrladder index` and `compare`."""
    winners = (f"{_place(t.rung, t.tokens)}: {_winner(t.winner)}" for t in results.targets)
    return Held(
        "benchmark",
        results.preset,
        ", ".join(dict.fromkeys(rung.name for rung in results.rungs if rung.part != "proxy")),
        in_a_line(winners, "goals alone, so no conclusion" if is_unscored(results) else "no target has been scored"),
        results.complete,
        results.lab == "simulated",
    )


def show(results: RegretResults, console: Console) -> None:
    """Print a table with a row per target and entry, and the conclusions in words."""
    title = f"{results.preset}: loss above the best LR at each target (regret) [90% interval]"
    heads = ("target", "entry", "tokens", "LR", "loss, nats", "regret, millinats", "search cost, target runs")
    table = WordTable(title, heads, left=2)
    for target in results.targets:
        for found in target.paradigms:
            table.add_row(
                target.rung,
                found.name,
                f"{target.tokens:,}",
                f"{found.lr:.3g}",
                "-" if found.loss is None else f"{found.loss:.4f} (n={found.n_seeds})",
                interval(found.regret, found.regret_low, found.regret_high),
                f"{found.cost_fraction:.2f}",
            )
    if results.targets or not results.goals:
        console.print(table)
    for line in conclusions(results):
        console.print(line, highlight=False, markup=False)
    if results.goals:
        show_goals(results, console)
    show_counts(results.trials, console)


def conclusions(results: RegretResults) -> Iterator[str]:
    """The conclusion for each target, or that the study has none."""
    if is_unscored(results):
        yield UNSCORED
    for target in results.targets:
        yield f"{_place(target.rung, target.tokens)}: {target.conclusion}"


def _place(rung: str, tokens: int) -> str:
    return f"{rung} at {short(tokens)} tokens"


def _winner(name: str | None) -> str:
    return "no winner" if name is None else f"{name} wins"
