"""Reads a table of runs as text: CSV with commas, tabs or semicolons, JSONL, JSON, Parquet, or a DataFrame."""

import csv
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.reading import parse_json, why

MAX_BYTES = 128 * 2**20  # a larger file is refused without reading it; 1,000,000 rows take about 100 MiB
MAX_ROWS = 1_000_000  # assumption: a table of final losses has fewer
MAX_CELLS = 50_000_000  # rows times columns, as empty fields take memory too; assumption: 50 columns of MAX_ROWS
SEPARATORS = (",", "\t", ";")
FRAME = "the DataFrame"  # what messages call a table that is no file
NEEDED = "n_params, tokens, lr, loss"
_DECIMAL_COMMA = re.compile(r"^([+-]?\d+),(\d+(?:[eE][+-]?\d+)?)$")


Source = Path | pd.DataFrame


def name_of(source: Source) -> str:
    """What messages call the table."""
    return FRAME if isinstance(source, pd.DataFrame) else str(source)


def read_text(source: Source, needed: str = NEEDED) -> pd.DataFrame:
    """The table as stripped text, with "" for a missing field. Raises InputError.

    The index is the row in the file; in a DataFrame it is the position, counted from 0. Blank rows are dropped. If a
    column name appears twice, both columns are kept. `needed` are the columns that messages name.
    """
    table = _frame(source) if isinstance(source, pd.DataFrame) else _file(source, needed)
    table = table.map(str.strip)
    table = table[(table != "").any(axis=1)]
    if table.empty:
        raise InputError(f"{name_of(source)}: there are no runs, only a header; give one row per run")
    if len(table) > MAX_ROWS:
        raise InputError(f"{name_of(source)}: more than {MAX_ROWS:,} rows; give final losses, one row per run")
    return table


def _frame(frame: pd.DataFrame) -> pd.DataFrame:
    """A DataFrame of any types as text. A missing value is empty: of a loss, that means a run that diverged."""
    text = frame.astype(object).where(frame.notna(), "").map(str)
    text.columns = pd.Index([str(name).strip() for name in frame.columns])
    text.index = pd.RangeIndex(len(text))
    return text


def _file(path: Path, needed: str) -> pd.DataFrame:
    _check_file(path, needed)
    suffix = path.suffix.lower()
    if suffix in (".parquet", ".pq"):
        return _parquet(path)
    if suffix in (".jsonl", ".ndjson", ".json"):
        return _json(path, needed)
    return _csv(path, needed)


def _check_file(path: Path, needed: str) -> None:
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a table of runs with columns {needed}")
    size = path.stat().st_size
    if size > MAX_BYTES:
        limit = f"{MAX_BYTES / 2**20:,.0f} MiB or {MAX_ROWS:,} runs"
        raise InputError(f"{path}: {size / 2**20:,.0f} MiB is too large (at most {limit}); keep one row per run")


def _read_csv(path: Path, **options: Any) -> pd.DataFrame:
    """Read a CSV. Where pandas would warn that it leaves data out, this raises the warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(path, **options)


def _csv(path: Path, needed: str) -> pd.DataFrame:
    names, separator = _header(path, needed)
    width = len(names)
    try:
        table = _read_csv(
            path,
            sep=separator,
            header=None,
            names=[str(place) for place in range(width + 1)],
            skiprows=1,
            index_col=False,
            dtype=str,
            keep_default_na=False,
            na_filter=False,
            skip_blank_lines=False,
            nrows=min(MAX_ROWS, MAX_CELLS // width) + 1,
            encoding="utf-8-sig",
            on_bad_lines="error",
        )
    except UnicodeDecodeError as error:
        raise _not_utf8(path) from error
    except pd.errors.EmptyDataError:
        table = pd.DataFrame(columns=[str(place) for place in range(width + 1)], dtype=str)
    except (pd.errors.ParserError, pd.errors.ParserWarning, ValueError) as error:
        reason = " ".join(str(error).split()).removeprefix("Error tokenizing data. C error: ")
        raise InputError(f"{path}: not a CSV with {width} columns ({reason}); check that line's commas") from error
    require_cells(path, len(table), width)
    table = table.fillna("")
    table.index = pd.RangeIndex(2, len(table) + 2)
    beyond = table.pop(str(width)) != ""
    if beyond.any():
        row = beyond.index[beyond][0]
        raise InputError(
            f"{path}: row {row}: it has more than the {width} fields of the header; quote commas in fields"
        )
    table.columns = pd.Index(names)
    return table.replace(_DECIMAL_COMMA, r"\1.\2", regex=True) if separator == ";" else table


def _not_utf8(path: Path) -> InputError:
    return InputError(f"{path}: not UTF-8 text; save the table as CSV in UTF-8")


def _header(path: Path, needed: str) -> tuple[list[str], str]:
    """The column names, and the separator that gives most names."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            line = file.readline(MAX_BYTES)
    except UnicodeDecodeError as error:
        raise _not_utf8(path) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); make it readable") from error
    split = {separator: next(csv.reader([line], delimiter=separator), []) for separator in SEPARATORS}
    separator = max(SEPARATORS, key=lambda separator: len(split[separator]))
    names = [name.strip() for name in split[separator]]
    if not any(names):
        raise InputError(f"{path}: empty; the first line must name the columns {needed}")
    return names, separator


def _json(path: Path, needed: str) -> pd.DataFrame:
    """Objects, one per line or all in one list. Objects inside them become columns with dotted names."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text; save the table in UTF-8") from error
    if text.lstrip().startswith("["):
        rows = dict(enumerate(_loaded(path, text, 1), start=1))
    else:
        rows = {i: _loaded(path, line, i) for i, line in enumerate(text.splitlines(), start=1) if line.strip()}
    if not rows:
        raise InputError(f"{path}: empty; give one JSON object per run, with {needed}")
    found = {i: _flat(path, row, i) for i, row in rows.items()}
    require_cells(path, len(found), len({name for row in found.values() for name in row}))
    return pd.DataFrame.from_dict(found, orient="index").fillna("")


def require_cells(path: Path, rows: int, columns: int) -> None:
    """Raise InputError for a table that would not fit the memory."""
    if rows * columns > MAX_CELLS:
        raise InputError(
            f"{path}: {rows:,} rows of {columns:,} columns are more than {MAX_CELLS:,} fields; keep fewer columns"
        )


def _flat(path: Path, row: Any, place: int) -> dict[str, str]:
    if not isinstance(row, dict):
        raise InputError(f"{path}: row {place}: not a JSON object; give one object per run, with the columns by name")
    try:
        return flat(row)
    except RecursionError as error:
        raise InputError(f"{path}: row {place}: objects are nested too deep; give one object per run") from error


def flat(row: Mapping[str, Any]) -> dict[str, str]:
    """Values as text. Values of inner objects have dotted names, and null values are left out."""
    found: dict[str, str] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": text for inner, text in flat(value).items()}
        elif value is not None:
            found[name] = str(value)
    return found


def _loaded(path: Path, text: str, row: int) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        raise InputError(f"{path}: row {row}: not JSON ({why(error)}); give one object per line") from error


def _parquet(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path, dtype_backend="numpy_nullable")
    except ImportError as error:
        raise InputError(f"{path}: Parquet needs pyarrow; pip install pyarrow, or save the table as CSV") from error
    except Exception as error:  # a damaged file makes pyarrow and pandas raise errors of any kind
        raise InputError(f"{path}: not a Parquet file ({type(error).__name__}: {why(error)[:100]})") from error
    table.index = pd.RangeIndex(1, len(table) + 1)
    # a missing value is empty, while a NaN that was logged stays nan
    return table.astype(object).map(lambda value: "" if value is None or value is pd.NA else str(value))
