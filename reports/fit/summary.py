"""Shows a fit in a line, and in words on the terminal."""

from rich.console import Console

from lrladder.benchmark.own_runs.fit_file import words
from lrladder.benchmark.own_runs.fit_results import FitResults
from lrladder.reports.results_page import Held, in_a_line


def held(results: FitResults) -> Held:
    """The fit in a line, for `lrladder index` and `compare`."""
    laws = (
        f"lr* by {law.size} parameters: " + ", ".join(f"{name} {e.value:+.2f}" for name, e in law.exponents.items())
        for law in results.laws
    )
    sweeps = f"{results.n_runs} runs, {sum(results.counts.values())} sweeps"
    return Held("fit", results.source, sweeps, in_a_line(laws, "no law: no sweep has a bracketed minimum"))


def show(results: FitResults, console: Console) -> None:
    """Print the fit in words."""
    console.print(words(results), highlight=False, markup=False, soft_wrap=True)
