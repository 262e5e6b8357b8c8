"""Tables that a page offers as CSV files: small ones inside the page, large ones in files beside it."""

import base64
import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from typing import Self

import pandas as pd

MOST_EMBEDDED = 2_000_000  # characters of a table that a page may hold; as many as of a page with all its tables
PIECE = 10_000  # rows that are written at a time
Row = Sequence[object]


@dataclass(frozen=True)
class Download:
    """A table as a CSV file. `rows` makes its rows anew whenever they are written, as there may be millions."""

    name: str
    columns: Sequence[str]
    rows: Callable[[], Iterable[Row]]

    @classmethod
    def of(cls, name: str, frame: pd.DataFrame) -> Self:
        return cls(name, list(frame.columns), partial(_rows_of, frame))

    def pieces(self) -> Iterator[str]:
        """The file, piece by piece."""
        return _pieces(self.columns, map(_safe_row, self.rows()))

    @property
    def header(self) -> str:
        """The first line."""
        return next(_pieces(self.columns, ()))

    @cached_property
    def embedded(self) -> str | None:
        """The whole file, for the page; None if it is too large for that."""
        text = ""
        for piece in self.pieces():
            text += piece
            if len(text) > MOST_EMBEDDED:
                return None
        return text

    @property
    def uri(self) -> str:
        """The address for a link in the page."""
        return self.name if self.embedded is None else data_uri(self.embedded)


def download(name: str, frame: pd.DataFrame) -> dict[str, str]:
    """A table of any size as a CSV file inside the page."""
    return {"name": name, "uri": data_uri(to_csv(frame))}


def data_uri(text: str) -> str:
    """The address of a link that downloads the text as CSV."""
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(text.encode()).decode()


def to_csv(frame: pd.DataFrame) -> str:
    """CSV with a header. No field is run as a formula when it is opened in a spreadsheet."""
    return "".join(Download.of("", frame).pieces())


def _pieces(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    text, waiting = io.StringIO(), iter(rows)
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    yield text.getvalue()
    while some := list(islice(waiting, PIECE)):
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerows(some)
        yield text.getvalue()


def _rows_of(frame: pd.DataFrame) -> Iterator[Row]:
    """The rows of a frame. What is missing is None."""
    for start in range(0, len(frame), PIECE):
        part = frame.iloc[start : start + PIECE].astype(object)
        yield from zip(*(part[name].where(part[name].notna(), None) for name in part.columns), strict=True)


def _safe_row(row: Row) -> list[object]:
    return [_safe_text(value) if isinstance(value, str) else value if value == value else "" for value in row]  # NaN


def _safe_text(value: str) -> str:
    """Text that a spreadsheet would run as a formula is quoted."""
    return "'" + value if value.startswith(_FORMULA) else value


_FORMULA = ("=", "+", "-", "@", "\t", "\r")
