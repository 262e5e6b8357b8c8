"""What all pages share: templates, number formats, downloads, and how a page is written."""

import base64
import csv
import io
import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lrladder.benchmark.training import overlap
from lrladder.reports import formats
from lrladder.reports.drawing import paradigm_name, parametrization_name

TEMPLATES = Path(__file__).parent / "templates"


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
    "parametrization_name": parametrization_name,
    "overlap": overlap.sentence,
}


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
    loader = FileSystemLoader(TEMPLATES)
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters.update(_FILTERS)
    return made


def data_uri(text: str) -> str:
    """A CSV as a link that downloads it."""
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(text.encode()).decode()


def to_csv(frame: pd.DataFrame) -> str:
    """CSV with a header, safe to open in a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(frame.columns)
    for row in frame.astype(object).itertuples(index=False, name=None):
        writer.writerow([safe_field(field) for field in row])
    return text.getvalue()


def safe_field(value: object) -> object:
    """Text that a spreadsheet would run as a formula is quoted; numbers are left as they are."""
    if isinstance(value, str):
        return "'" + value if value.startswith(_FORMULA) else value
    return "" if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)) else value


_FORMULA = ("=", "+", "-", "@", "\t", "\r")
