"""A CSV of anyone's training runs, read and checked: every fault is one line that names the file, row and column."""

import csv
import difflib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lrladder.benchmark.errors import InputError

REQUIRED = ("n_params", "tokens", "lr", "loss")
OPTIONAL = ("n_active", "batch_tokens", "family", "seed", "held_out")
COUNTS = ("n_params", "n_active", "tokens", "batch_tokens")
MAX_BYTES = 128 * 2**20  # refused unread beyond this; 1,000,000 rows take about 100 MiB
MAX_ROWS = 1_000_000
UNIT_GAP = 1e4  # no ladder jumps this far between neighbouring sizes or horizons: two units in one column
DIVERGED = ("", "nan", "inf", "+inf", "-inf", "none", "null", "na", "n/a", "diverged")  # losses of a run that diverged
TRUTHS = {"": 0.0, "0": 0.0, "0.0": 0.0, "false": 0.0, "1": 1.0, "1.0": 1.0, "true": 1.0}
NO_SEED = -1


def read_frame(path: Path) -> pd.DataFrame:
    """Rows of a file: the columns REQUIRED and OPTIONAL, and `row`, the line in the file. Raises InputError.

    `loss` is NaN for a diverged run; `n_active` is n_params, `batch_tokens` NaN, `family` "", `seed` NO_SEED and
    `held_out` False where the file says nothing.
    """
    _check_file(path)
    names = _header(path)
    text = _text(path, names)
    frame = pd.DataFrame({"row": text.index + 2})
    for column in ("n_params", "tokens", "lr"):
        frame[column] = _positive(path, text, column)
    frame["loss"] = _losses(path, text)
    frame["n_active"] = _positive(path, text, "n_active", empty=frame["n_params"])
    frame["batch_tokens"] = _positive(path, text, "batch_tokens", empty=pd.Series(np.nan, frame.index))
    frame["family"] = text["family"]
    frame["seed"] = _seeds(path, text)
    frame["held_out"] = _held_out(path, text)
    _check_active(path, frame)
    for column in COUNTS:
        _check_units(path, frame, column)
    return frame


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a CSV of runs with columns {', '.join(REQUIRED)}")
    size = path.stat().st_size
    if size > MAX_BYTES:
        limit = f"{MAX_BYTES / 2**20:,.0f} MiB or {MAX_ROWS:,} runs"
        raise InputError(f"{path}: {size / 2**20:,.0f} MiB is too large (at most {limit}); keep one row a run")


def _header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            line = file.readline(MAX_BYTES)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text; save the table as CSV in UTF-8") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    names = [name.strip() for name in next(csv.reader([line]), [])]
    if not any(names):
        raise InputError(f"{path}: empty; the first line must name the columns {', '.join(REQUIRED)}")
    known = [name for name in names if name in REQUIRED + OPTIONAL]
    twice = sorted({name for name in known if known.count(name) > 1})
    if twice:
        raise InputError(f"{path}: row 1: column {twice[0]} appears {known.count(twice[0])} times; keep one")
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        near = difflib.get_close_matches(missing[0], names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the columns are {', '.join(names)[:200]}"
        raise InputError(f"{path}: row 1: no column {missing[0]}; {hint} Needed are {', '.join(REQUIRED)}")
    return names


def _read_csv(path: Path, **options: Any) -> pd.DataFrame:
    """Raises pandas' warning of data that it would leave out."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(path, **options)


def _text(path: Path, names: list[str]) -> pd.DataFrame:
    """The known columns as stripped text, "" where a field is missing; blank lines are dropped."""
    keep = {str(i): name for i, name in enumerate(names) if name in REQUIRED + OPTIONAL}
    try:
        table = _read_csv(
            path,
            header=None,
            names=[str(i) for i in range(len(names) + 1)],
            skiprows=1,
            index_col=False,
            dtype=str,
            keep_default_na=False,
            na_filter=False,
            skip_blank_lines=False,
            nrows=MAX_ROWS + 1,
            encoding="utf-8-sig",
            on_bad_lines="error",
        )
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text; save the table as CSV in UTF-8") from error
    except pd.errors.EmptyDataError:
        table = pd.DataFrame(columns=[str(i) for i in range(len(names) + 1)], dtype=str)
    except (pd.errors.ParserError, pd.errors.ParserWarning, ValueError) as error:
        reason = " ".join(str(error).split()).removeprefix("Error tokenizing data. C error: ")
        raise InputError(f"{path}: not a CSV with {len(names)} columns ({reason}); check that line's commas") from error
    table = table.fillna("")
    beyond = table.pop(str(len(names))) != ""
    if beyond.any():
        raise InputError(
            f"{path}: row {_first(beyond) + 2}: more than the {len(names)} fields of the header; quote commas"
        )
    table = table[list(keep)].rename(columns=keep)
    for name in table.columns:
        table[name] = table[name].str.strip()
    table = table[(table != "").any(axis=1)]
    if table.empty:
        raise InputError(f"{path}: no runs, only a header; give one row a run")
    if len(table) > MAX_ROWS:
        raise InputError(f"{path}: more than {MAX_ROWS:,} rows; give final losses, one row a run")
    return table.reindex(columns=[*REQUIRED, *OPTIONAL], fill_value="")


def _first(bad: pd.Series) -> int:
    """Label of the first true value."""
    return int(bad.index[bad][0])


def _refuse(path: Path, text: pd.DataFrame, column: str, bad: pd.Series, why: str) -> None:
    """An InputError for the first bad row, if any."""
    if bad.any():
        row = _first(bad)
        more = int(bad.sum()) - 1
        others = f" ({more:,} more rows like it)" if more else ""
        raise InputError(f"{path}: row {row + 2}: column {column}: {str(text.at[row, column])[:60]!r} {why}{others}")


def _numbers(text: pd.Series) -> pd.Series:
    return pd.to_numeric(text, errors="coerce").astype(float)


def _positive(path: Path, text: pd.DataFrame, column: str, *, empty: pd.Series | None = None) -> pd.Series:
    numbers = _numbers(text[column])
    unset = text[column] == "" if empty is not None else pd.Series(False, text.index)
    spelled = text[column].str.lower().str.lstrip("+-").isin(("nan", "inf", "infinity"))
    _refuse(path, text, column, numbers.isna() & ~unset & ~spelled, "is not a number; write it plainly, as 1.5e9")
    good = np.isfinite(numbers) & (numbers > 0)
    _refuse(path, text, column, ~good & ~unset, "must be positive and finite; correct or remove the row")
    return numbers if empty is None else numbers.where(~unset, empty.set_axis(text.index))


def _losses(path: Path, text: pd.DataFrame) -> pd.Series:
    diverged = text["loss"].str.lower().isin(DIVERGED)
    numbers = _numbers(text["loss"]).where(~diverged)
    why = "is not a number; leave it empty or write nan for a diverged run"
    _refuse(path, text, "loss", numbers.isna() & ~diverged, why)
    _refuse(path, text, "loss", numbers <= 0, "must be positive: the loss in nats per token")
    return numbers.where(np.isfinite(numbers))


def _seeds(path: Path, text: pd.DataFrame) -> pd.Series:
    unset = text["seed"] == ""
    numbers = _numbers(text["seed"])
    whole = (numbers >= 0) & (numbers < 2**63) & (numbers % 1 == 0)
    _refuse(path, text, "seed", ~whole & ~unset, "is not a whole number from 0; leave it empty where it is not known")
    return numbers.where(whole, NO_SEED).astype("int64")


def _held_out(path: Path, text: pd.DataFrame) -> pd.Series:
    values = text["held_out"].str.lower().map(TRUTHS)
    _refuse(path, text, "held_out", values.isna(), "must be 0 or 1 (1 names a target)")
    return values == 1


def _check_active(path: Path, frame: pd.DataFrame) -> None:
    bad = frame["n_active"] > frame["n_params"]
    if bad.any():
        row = frame[bad].iloc[0]
        counts = f"{row.n_active:,.12g} is more than n_params ({row.n_params:,.12g})"
        raise InputError(f"{path}: row {row.row}: column n_active: {counts}; n_params counts all parameters")


def _check_units(path: Path, frame: pd.DataFrame, column: str) -> None:
    values = np.sort(frame[column].dropna().unique())
    gaps = values[1:] / values[:-1]
    if not len(gaps) or gaps.max() < UNIT_GAP:
        return
    low, high = values[gaps.argmax()], values[gaps.argmax() + 1]
    rows = [frame.loc[frame[column] == value, "row"].iloc[0] for value in (low, high)]
    raise InputError(
        f"{path}: row {rows[0]}: column {column}: {low:,.12g}, but {high:,.12g} in row {rows[1]}, and nothing between: "
        "two units in one column? Write plain counts everywhere"
    )
