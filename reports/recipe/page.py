"""The report of a tuned recipe: one self-contained HTML page."""

from pathlib import Path

import pandas as pd
from markupsafe import Markup

from lrladder.benchmark.studies.recipe.results import TuningResults
from lrladder.reports.downloads import download
from lrladder.reports.html import environment, write_page
from lrladder.reports.recipe.figures import NAMES, panels
from lrladder.reports.recipe.summary import beyond, sentences
from lrladder.reports.study_page import config_text, measurements


def write(results: TuningResults, folder: Path) -> Path:
    """Write the report to folder/index.html."""
    return write_page(render(results), folder)


def render(results: TuningResults) -> str:
    """The whole page as text; the same results give the same bytes."""
    drawn = panels(results)
    frames = {"curves.csv": curves(results), "measurements.csv": measurements(results)}
    return (
        environment()
        .get_template("recipe.html.j2")
        .render(
            results=results,
            names=NAMES,
            sentences=list(sentences(results)),
            beyond={one.name: beyond(one) for one in results.ingredients},
            figure_svg=Markup(drawn) if drawn else None,  # our own drawing
            downloads=[download(name, frame) for name, frame in frames.items()],
            config=config_text(results),
        )
    )


def curves(results: TuningResults) -> pd.DataFrame:
    """A table with a row per ingredient and value."""
    return pd.DataFrame(
        [{"ingredient": one.name, **point.model_dump()} for one in results.ingredients for point in one.curve]
    )
