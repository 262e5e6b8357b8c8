"""The report of a drift study: one self-contained HTML page."""

import json
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from lrladder.benchmark.studies.drift.results import DriftResults
from lrladder.reports.drift.decay_figure import drift_over_fraction
from lrladder.reports.drift.figures import axis_panels, measured
from lrladder.reports.html import data_uri, environment, to_csv, write_page


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
            figures={name: Markup(svg) if svg else None for name, svg in drawn.items()},  # our own drawing
            decays={name: Markup(svg) for name, svg in decays.items()},
            downloads=[{"name": name, "uri": data_uri(to_csv(frame))} for name, frame in frames.items()],
            config=json.dumps(results.config, indent=2, ensure_ascii=False, default=str),
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


def measurements(results: DriftResults) -> pd.DataFrame:
    """A table with a row per run and horizon."""
    return pd.DataFrame([m.model_dump(exclude={"metrics"}) for m in results.measurements])
