"""The report of a folder again, whatever kind of results it holds."""

from pathlib import Path

from lrladder.benchmark.own_runs.fit_file import load_fit
from lrladder.benchmark.own_runs.fit_results import SCHEMA as FIT_SCHEMA
from lrladder.benchmark.studies.drift.runner import load_axes_results
from lrladder.benchmark.studies.kinds import kind_of, schema_of
from lrladder.benchmark.studies.regret.runner import load_results
from lrladder.benchmark.studies.schedules.runner import load_power_results
from lrladder.reports.drift import page as axes_page
from lrladder.reports.fit import page as fit_page
from lrladder.reports.regret import page
from lrladder.reports.schedules import page as power_page


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
