"""The report of a drift study: one self-contained HTML page."""

from pathlib import Path

import pandas as pd
from markupsafe import Markup

from lrladder.benchmark.studies.drift.results import DriftResults
from lrladder.reports.downloads import download
from lrladder.reports.drift.decay_figure import drift_over_fraction
from lrladder.reports.drift.figures import axis_panels, measured
from lrladder.reports.html import environment, figures, write_page
from lrladder.reports.study_page import config_text, measurements


def write(results: DriftResults, folder: Path) -> Path:
    """Write the report to folder/index.html."""
    return write_page(render(results), folder)


def render(results: DriftResults) -> str:
    """The whole page as text; the same results give the same bytes."""
    drawn = {axis.axis: axis_panels(results, axis) for axis in results.axes}
    decays = {axis.axis: drift_over_fraction(axis.axis, axis.decay) for axis in results.axes if axis.decay}
    frames = {"optima.csv": optima(results), "measurements.csv": measurements(results)}
    return (
        environment()
        .get_template("axes.html.j2")
        .render(
            results=results,
            shown={axis.axis: measured(axis) for axis in results.axes},
            figures=figures(drawn),
            decays={name: Markup(svg) for name, svg in decays.items()},
            downloads=[download(name, frame) for name, frame in frames.items()],
            config=config_text(results),
        )
    )


def optima(results: DriftResults) -> pd.DataFrame:
    """A table with a row per axis, variant and point."""
    return pd.DataFrame(
        [
            {"axis": axis.axis, "variant": variant.name, **point.model_dump(exclude={"flags"})}
            for axis in results.axes
            for variant in axis.variants
            for point in variant.points
        ]
    )
