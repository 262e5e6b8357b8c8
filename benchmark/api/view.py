"""What a notebook shows of an object: a heading, sentences and tables, in which every value is escaped."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

MAX_ROWS = 60  # of a table in a notebook; assumption: more rows hide the cells below


class Shown(NamedTuple):
    """A table under its caption."""

    caption: str
    frame: "pd.DataFrame"


def view(title: str, lines: Sequence[str] = (), tables: Sequence[Shown] = (), weak: Sequence[str] = ()) -> str:
    """HTML. `weak` says in words what weakens the numbers."""
    from lrladder.reports.html import environment

    shown = [(table.caption, list(table.frame.columns), _rows(table.frame), len(table.frame)) for table in tables]
    template = environment().get_template("notebook.html.j2")
    return template.render(title=title, lines=lines, tables=shown, weak=weak, most=MAX_ROWS)


def _rows(frame: "pd.DataFrame") -> list[list[str]]:
    return [[_cell(value) for value in row] for row in frame.head(MAX_ROWS).itertuples(index=False)]


def _cell(value: object) -> str:
    if value is None or value != value:  # NaN is no equal of itself
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
