"""Shows a fit in a line, and in words on the terminal."""

from collections.abc import Iterator

from rich.console import Console

from lrladder.benchmark.own_runs.fit_file import words
from lrladder.benchmark.own_runs.fit_results import FitResults, FittedLaw
from lrladder.reports.formats import signed
from lrladder.reports.results_page import Held, in_a_line

SIZES = {"active": "active parameters", "total": "total parameters", "flops": "FLOPs"}


def held(results: FitResults) -> Held:
    """The fit in a line, for `lrladder index` and `compare`."""
    laws = (f"best LR by {SIZES[law.size]}: {', '.join(_exponents(law))}" for law in results.laws)
    sweeps = f"{results.n_runs} runs, {sum(results.counts.values())} sweeps"
    return Held("fit", results.source, sweeps, in_a_line(laws, "no law: no sweep has a bracketed minimum"))


def _exponents(law: FittedLaw) -> Iterator[str]:
    for name, found in law.exponents.items():
        yield f"{name} {signed(found.value)}{' (assumed)' if found.low is None else ''}"


def show(results: FitResults, console: Console) -> None:
    """Print the fit in words."""
    console.print(words(results), highlight=False, markup=False, soft_wrap=True)
