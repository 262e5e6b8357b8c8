"""Tables that a page offers as CSV files: small ones inside the page, large ones in files beside it."""

import base64
import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import pandas as pd
from pydantic_core import to_json

MOST_EMBEDDED = 2_000_000  # characters of a table that a page may hold; as many as of a page with all its tables
PIECE = 10_000  # rows that are written at a time
END = "\r\n"
QUOTE = '"'
Row = Sequence[object]
Run = tuple[Row, Mapping[str, float]]  # the first fields of the rows of a run, and its numbers by name


@dataclass(frozen=True)
class Download:
    """A table as a CSV file. `body` makes its lines anew whenever they are written, as there may be millions."""

    name: str
    columns: Sequence[str]
    body: Callable[[], Iterator[str]]

    @classmethod
    def of(cls, name: str, frame: pd.DataFrame) -> Self:
        """The rows of a frame."""
        return cls(name, list(frame.columns), lambda: _lines_of(frame))

    @classmethod
    def of_runs(cls, name: str, columns: Sequence[str], runs: Callable[[], Iterable[Run]]) -> Self:
        """A row for each number of each run: what the run is, the name of the number, and the number."""
        return cls(name, columns, lambda: _numbers_of(runs()))

    @property
    def header(self) -> str:
        """The first line."""
        return str(_line(_safe_row(self.columns)))

    def pieces(self) -> Iterator[str]:
        """The file, piece by piece."""
        yield self.header
        yield from self.body()

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


def _lines_of(frame: pd.DataFrame) -> Iterator[str]:
    """The lines of the rows of a frame, in parts."""
    for start in range(0, len(frame), PIECE):
        part = frame.iloc[start : start + PIECE]
        columns = [_quoted(_safe_column(part[name])) for name in part.columns]
        # a line with nothing in it is no row
        yield "".join((",".join(row) or '""') + END for row in zip(*columns, strict=True))


def _quoted(fields: Sequence[str]) -> Sequence[str]:
    """The fields as `csv.writer` writes them, which looks at each one; few columns have a field to quote."""
    if not _needs_quotes("".join(fields)):
        return fields
    return [f'"{field.replace(QUOTE, 2 * QUOTE)}"' if _needs_quotes(field) else field for field in fields]


def _needs_quotes(text: str) -> bool:
    return "," in text or QUOTE in text or "\r" in text or "\n" in text


def _safe_column(column: pd.Series) -> Sequence[str]:
    """The fields of a column. What is missing is empty, and only text can be a formula."""
    if column.dtype == float and len(column):
        return _texts(column.tolist())
    fields: list[object] = column.astype(object).where(column.notna(), "").tolist()
    return list(map(str, fields if pd.api.types.is_numeric_dtype(column) else _safe_row(fields)))


def _numbers_of(runs: Iterable[Run]) -> Iterator[str]:
    """The lines of each run. Its first fields and the names are turned into text once, and not for every number.

    A line has three parts: the end of the line before with the first fields, the name, and the number. Only those that
    differ from the run before are put in place, and all lines of a run are joined at once.
    """
    fields: dict[str, str] = {}
    parts: list[str] = []
    names: tuple[str, ...] = ()
    for run, numbers in runs:
        if not numbers:
            continue
        if tuple(numbers) != names:
            names = tuple(numbers)
            fields |= {name: f",{_line(_safe_row([name])).removesuffix(END)}," for name in names if name not in fields}
            parts = [""] * (3 * len(names))
            parts[1::3] = [fields[name] for name in names]
        parts[0::3] = [END + _line(_safe_row(run)).removesuffix(END)] * len(names)
        parts[2::3] = _texts(list(numbers.values()))
        yield "".join(parts).removeprefix(END) + END


def _texts(numbers: Sequence[float]) -> Sequence[str]:
    """Each number as Python writes it, and NaN as nothing. JSON has the same text for most, in a sixth of the time."""
    text = to_json(numbers, inf_nan_mode="constants").decode()[1:-1]
    texts = text.split(",")
    if not _is_unlike(text):
        return texts
    found = [repr(number) if _is_unlike(one) else one for one, number in zip(texts, numbers, strict=True)]
    return ["" if one == "nan" else one for one in found]


def _is_unlike(text: str) -> bool:
    """Whether JSON writes a number otherwise: with an exponent, below 0.0001, infinite or NaN."""
    return "e" in text or "I" in text or "N" in text or "0.0000" in text


class _Echo:
    """A file for `csv.writer` that returns the line, as `writerow` then does too."""

    def write(self, line: str) -> str:
        return line


_line = csv.writer(_Echo(), lineterminator=END).writerow


def _safe_row(row: Row) -> list[object]:
    return [_safe_text(value) if isinstance(value, str) else value if value == value else "" for value in row]  # NaN


def _safe_text(value: str) -> str:
    """Text that a spreadsheet would run as a formula is quoted."""
    return "'" + value if value.startswith(_FORMULA) else value


_FORMULA = ("=", "+", "-", "@", "\t", "\r")
