"""The report of a fit: one self-contained HTML page."""

from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import pandas as pd
from markupsafe import Markup

from lrladder.benchmark.own_runs.fit_results import FitResults
from lrladder.reports.fit import figures as fit_figures
from lrladder.reports.html import data_uri, environment, to_csv, write_page

# Exponents of N, D and batch, and what they hold for; docs/theory.md has the sources' certainty
PUBLISHED = (
    ("arXiv 2601.05049", -0.2219, -0.3509, None, "MoE, WSD, standard initialization; the unit of N is not stated"),
    ("Bjorck et al., 2409.19913", -0.23, -0.32, None, "one batch size, cosine, total N"),
    ("Step Law, 2503.04715", -0.713, 0.307, None, "LR and batch chosen together, one final LR, total N"),
    ("Step Law's runs at one batch", -0.60, 0.03, 0.33, "refitted, dense; D from -0.01 to 0.06, batch 0.30 to 0.35"),
    ("Power scheduler, 2408.13359", None, -0.51, 1.0, "muP, WSD"),
)


def write(results: FitResults, folder: Path) -> Path:
    """Write the report to folder/index.html."""
    return write_page(render(results), folder)


def render(results: FitResults) -> str:
    """The whole page as text; the same results give the same bytes."""
    drawn = {"curves": fit_figures.curves(results), "optima": fit_figures.optima(results)}
    return (
        environment()
        .get_template("fit.html.j2")
        .render(
            results=results,
            figures={name: Markup(svg) if svg else None for name, svg in drawn.items()},  # our own drawing
            published=PUBLISHED,
            residuals=[*_residuals(results, "size"), *_residuals(results, "tokens")],
            chosen=[cell for cell in results.cells if cell.chosen],
            downloads=[{"name": "cells.csv", "uri": data_uri(to_csv(cells(results)))}],
            num_models=len({(c.family, c.n_params, c.n_active) for c in results.cells if c.chosen}),
            num_panels=len(fit_figures.models_of(results)),
        )
    )


def _residuals(results: FitResults, by: str) -> Iterator[tuple[str, float, float, int]]:
    """(size or tokens, its value, mean octaves above the law, cells), ascending."""
    groups: dict[float, list[float]] = {}
    for cell in results.cells:
        if cell.octaves_off is not None:
            groups.setdefault(cell.n_active if by == "size" else cell.tokens, []).append(cell.octaves_off)
    for value, octaves in sorted(groups.items()):
        yield by, value, fmean(octaves), len(octaves)


def cells(results: FitResults) -> pd.DataFrame:
    """One row per sweep."""
    return pd.DataFrame([cell.model_dump(exclude={"lrs", "losses", "flags"}) for cell in results.cells])
