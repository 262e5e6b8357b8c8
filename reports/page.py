"""The report: one self-contained HTML page made from results."""

import base64
import json
import os
import tempfile
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from benchmark.results import SIMULATED, Results
from reports import analysis, figures, formats
from reports.drawing import PARAMETRIZATION_NAMES, paradigm_name

PUBLISHED_LAW = {"u": 0.2219, "v": 0.3509, "source": "arXiv 2601.05049"}
ORACLE_STATUS = {
    "interior": "minimum bracketed",
    "edge": "edge of grid: the best LR may lie outside",
    "flat": "flat: no minimum resolved",
    "few": "too few finished LRs to fit",
}
_FILTERS = {
    "lr": formats.lr,
    "exponent": formats.exponent,
    "loss": formats.loss,
    "millinats": formats.millinats,
    "flops": formats.flops,
    "factor": formats.factor,
    "count": formats.count,
    "short": formats.short,
    "fixed": formats.fixed,
    "paradigm_name": paradigm_name,
}


def render(results: Results) -> str:
    """The whole page as text; the same results give the same bytes."""
    template = environment().get_template("index.html.j2")
    drawn = {
        "bowls": figures.loss_against_lr(results),
        "law": figures.law_with_points(results),
        "cost": figures.regret_against_cost(results),
    }
    return template.render(
        results=results,
        figures={name: Markup(svg) if svg else None for name, svg in drawn.items()},  # only our own drawing is trusted
        costs=analysis.costs(results).to_dict("records"),
        trials=analysis.measurements(results).astype(object).to_dict("records"),
        downloads=_downloads(results),
        config=_pretty(results.config),
        corpus=_pretty(results.corpus),
        published=PUBLISHED_LAW,
        simulated=SIMULATED if results.lab == "simulated" else None,
        oracle_status=ORACLE_STATUS,
        parametrizations=PARAMETRIZATION_NAMES,
    )


def write(results: Results, folder: Path) -> Path:
    """Write the report of a study to folder/index.html."""
    return write_page(render(results), folder)


def write_page(text: str, folder: Path) -> Path:
    """Write folder/index.html; a reader sees the old page or the new one, never half of one."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "index.html"
    handle, name = tempfile.mkstemp(dir=folder, prefix=".index-", suffix=".html")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, page)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return page


def environment() -> Environment:
    """Templates of all pages: escaped, strict about missing names, with our number formats as filters."""
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters.update(_FILTERS)
    return made


def _downloads(results: Results) -> list[dict[str, str]]:
    frames = {
        "measurements.csv": analysis.measurements(results),
        "comparison.csv": analysis.paradigms(results),
        "cost.csv": analysis.costs(results),
    }
    return [{"name": name, "uri": data_uri(analysis.to_csv(frame))} for name, frame in frames.items()]


def data_uri(text: str) -> str:
    """A CSV as a link that downloads it."""
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(text.encode()).decode()


def _pretty(data: dict[str, object]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False, default=str)
