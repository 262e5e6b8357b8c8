"""The report of a fit: one self-contained HTML page."""

from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import pandas as pd

from lrladder.benchmark.own_runs.fit_results import FitResults
from lrladder.paradigms import published
from lrladder.reports.downloads import download
from lrladder.reports.fit import figures as fit_figures
from lrladder.reports.html import environment, figures, write_page

# Source, exponents of N, D and batch, and what they hold for. docs/theory.md says how certain each source is.
PUBLISHED = (
    (
        "arXiv 2601.05049",
        published.FITTING_N,
        published.FITTING_D,
        None,
        "MoE, WSD, standard initialization; the unit of N is not stated",
    ),
    ("Bjorck et al., 2409.19913", published.BJORCK_N, published.BJORCK_D, None, "one batch size, cosine, total N"),
    (
        "Step Law, 2503.04715",
        published.STEP_LAW_N,
        published.STEP_LAW_D,
        None,
        "LR and batch chosen together, one final LR, total N",
    ),
    (
        "Step Law's runs at one batch",
        published.REFIT_N,
        published.REFIT_D,
        published.REFIT_B,
        "refitted to dense models; the fits give -0.01 to 0.06 for D and 0.30 to 0.35 for the batch",
    ),
    ("Power scheduler, 2408.13359", None, published.POWER_D, published.POWER_B, "muP, WSD"),
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
            figures=figures(drawn),
            published=PUBLISHED,
            residuals=[*_residuals(results, "size"), *_residuals(results, "tokens")],
            step_law_batch=published.STEP_LAW_BATCH,
            chosen=[cell for cell in results.cells if cell.chosen],
            downloads=[download("cells.csv", cells(results))],
            num_models=len({(c.family, c.n_params, c.n_active) for c in results.cells if c.chosen}),
            num_panels=len(fit_figures.models_of(results)),
        )
    )


def _residuals(results: FitResults, by: str) -> Iterator[tuple[str, float, float, int]]:
    """Rows ("size" or "tokens", its value, mean of the best LRs above the law in octaves, number of cells)."""
    groups: dict[float, list[float]] = {}
    for cell in results.cells:
        if cell.octaves_off is not None:
            groups.setdefault(cell.n_active if by == "size" else cell.tokens, []).append(cell.octaves_off)
    for value, octaves in sorted(groups.items()):
        yield by, value, fmean(octaves), len(octaves)


def cells(results: FitResults) -> pd.DataFrame:
    """A table with a row per sweep."""
    return pd.DataFrame([cell.model_dump(exclude={"lrs", "losses", "flags"}) for cell in results.cells])
