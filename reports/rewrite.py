"""The report of a folder again, whatever kind of results it holds."""

from pathlib import Path

from benchmark.axes.runner import load_axes_results
from benchmark.fit_results import SCHEMA as FIT_SCHEMA
from benchmark.fit_runner import load_fit
from benchmark.power.runner import load_power_results
from benchmark.runner import load_results
from benchmark.studies import kind_of, schema_of
from reports import axes_page, fit_page, page, power_page


def write(folder: Path) -> Path:
    """Write folder/report from what is stored; returns the page. Raises InputError."""
    out = folder / "report"
    if schema_of(folder) == FIT_SCHEMA:
        return fit_page.write(load_fit(folder), out)
    match kind_of(folder):
        case "axes":
            return axes_page.write(load_axes_results(folder), out)
        case "power":
            return power_page.write(load_power_results(folder), out)
        case "benchmark":
            return page.write(load_results(folder), out)
