"""Lists all results below a folder on one page, with links to their reports."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from markupsafe import Markup

from lrladder.benchmark.errors import InputError
from lrladder.reports import pages
from lrladder.reports.html import environment
from lrladder.reports.owned_page import mark, require_own, write_own
from lrladder.reports.results_page import Held

COMMAND = "index"
# Folders of a study, which are not searched.
INNER = {"trials", "logs", "trunks", "report", "tensorboard", "wandb", "mlflow"}


class Entry(NamedTuple):
    """One folder with results. `held` is None if they cannot be read; `line` then says why."""

    place: str  # path relative to the folder of the index
    link: str | None  # relative to the index; None without a report
    date: str
    held: Held | None
    line: str


def write(folder: Path) -> tuple[Path, int]:
    """Write folder/index.html. Returns its path and the number of results that it lists. Raises InputError."""
    if not folder.is_dir():
        raise InputError(f"index: {folder} is not a folder; give the folder that your studies are in")
    require_own(folder, COMMAND)
    found = entries(folder)
    if not found:
        raise InputError(f"index: no results below {folder}; give the folder that your studies are in")
    return write_own(render(found), folder, COMMAND), len(found)


def render(found: list[Entry]) -> str:
    """The whole page as text."""
    return environment().get_template("reports_index.html.j2").render(entries=found, mark=Markup(mark(COMMAND)))


def entries(folder: Path) -> list[Entry]:
    """All folders with results below a folder, newest first."""
    dated = [(_changed(study), study) for study in _studies(folder)]
    return [_entry(folder, study, changed) for changed, study in sorted(dated, key=lambda one: (-one[0], one[1]))]


def _studies(folder: Path) -> Iterator[Path]:
    """The folder and all folders below it that have results. Links and hidden folders are not entered."""
    for place, inner, files in os.walk(folder):
        inner[:] = sorted(name for name in inner if name not in INNER and not name.startswith("."))
        if any(name in files for name in pages.FILES):
            yield Path(place)


def _changed(study: Path) -> float:
    return max((study / name).stat().st_mtime for name in pages.FILES if (study / name).is_file())


def _entry(folder: Path, study: Path, changed: float) -> Entry:
    place = study.relative_to(folder).as_posix()
    link = f"./{quote(os.fsencode(place))}/report/index.html" if (study / "report" / "index.html").is_file() else None
    date = datetime.fromtimestamp(changed, UTC).strftime("%Y-%m-%d %H:%M")
    try:
        known = pages.held(study)
    except InputError as error:
        return Entry(place, link, date, None, str(error))
    return Entry(place, link, date, known, known.line)
