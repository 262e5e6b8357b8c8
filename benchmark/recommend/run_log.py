"""Reads the log of one training run of anyone: JSONL, CSV or a W&B export, with loss and gradient norm by tokens."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.own_runs.columns import guesses
from lrladder.benchmark.own_runs.files import read_text as read_table
from lrladder.benchmark.own_runs.files import require_cells
from lrladder.benchmark.own_runs.numerals import numbers
from lrladder.benchmark.reading import LOG_BYTES, read_bytes, why

Array = NDArray[np.float64]

# Names that loggers use, the most likely first. A name also matches at the end of a longer one, as in train/loss.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "tokens": ("tokens", "tokens_seen", "consumed_tokens", "num_tokens", "trained_tokens", "total_tokens"),
    "step": ("step", "global_step", "iteration", "iter"),
    "grad_norm": ("grad_norm", "gradient_norm", "grad_norm_total", "total_norm", "gnorm"),
    "loss": ("train_loss", "training_loss", "lm_loss", "loss"),
}


class RunLog(NamedTuple):
    """Rows by tokens, ascending. Losses are in nats. `grad_norm` [rows] is NaN if the log does not have it."""

    tokens: Array
    loss: Array
    grad_norm: Array


def read_run_log(path: Path, *, columns: Mapping[str, str] | None = None, batch_tokens: float | None = None) -> RunLog:
    """Read a log. `columns` maps our column names to those of the log. Raises InputError.

    `batch_tokens` are the tokens of a step, for a log that counts steps. Incomplete rows are skipped.
    Of several rows at one number of tokens, as after a resume, the last counts.
    """
    table = _lines(path) if path.suffix.lower() in (".jsonl", ".ndjson", ".log") else read_table(path)
    names = [str(name) for name in table.columns]
    places = {**guesses(names, tuple(ALIASES), aliases=ALIASES), **_named(path, names, columns or {})}
    if "loss" not in places:
        raise InputError(
            f"{path}: there is no column loss; name one of its columns ({', '.join(names)[:200]}), as in "
            "--columns loss=train/loss"
        )
    loss = numbers(_text(table, places["loss"]))
    logged = _text(table, places["loss"]) != ""
    grad = numbers(_text(table, places["grad_norm"])) if "grad_norm" in places else loss * np.nan
    found = pd.DataFrame({"tokens": _tokens(path, table, places, batch_tokens), "loss": loss, "grad_norm": grad})
    found = found[logged & found["tokens"].notna()].drop_duplicates("tokens", keep="last").sort_values("tokens")
    if found.empty:
        raise InputError(
            f"{path}: no row with tokens and a loss yet; wait for the first one, or name the columns with --columns"
        )
    return RunLog(*(found[name].to_numpy(dtype=float) for name in ("tokens", "loss", "grad_norm")))


def _text(table: pd.DataFrame, name: str) -> pd.Series:
    return table.iloc[:, list(table.columns).index(name)]


def _tokens(path: Path, table: pd.DataFrame, places: Mapping[str, str], batch_tokens: float | None) -> pd.Series:
    if "tokens" in places:
        return numbers(_text(table, places["tokens"]))
    if "step" not in places:
        raise InputError(f"{path}: there is no column tokens or step; name one, as in --columns tokens=consumed_tokens")
    if batch_tokens is None:
        raise InputError(
            f"{path}: the log counts steps ({places['step']}); give the tokens of one step with --batch-tokens"
        )
    return numbers(_text(table, places["step"])) * batch_tokens


def _named(path: Path, names: list[str], columns: Mapping[str, str]) -> dict[str, str]:
    for ours, theirs in columns.items():
        if ours not in ALIASES:
            raise InputError(f"--columns {ours}: a log has no such column; use one of {', '.join(ALIASES)}")
        if theirs not in names:
            raise InputError(
                f"{path}: --columns {ours}={theirs}: there is no such column; use one of {', '.join(names)[:200]}"
            )
    return dict(columns)


def _lines(path: Path) -> pd.DataFrame:
    """A file with one JSON object per line, as a table of text. The last line may be half written."""
    try:
        text = read_bytes(path, LOG_BYTES).decode("utf-8", errors="replace")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({why(error)}); give the log of a run") from error
    rows = []
    for line in text.splitlines():
        with suppress(ValueError, RecursionError):
            row = json.loads(line)
            if isinstance(row, dict):
                rows.append({name: str(value) for name, value in row.items() if isinstance(value, (int, float, str))})
    require_cells(path, len(rows), len({name for row in rows for name in row}))
    return pd.DataFrame(rows).fillna("").astype(str) if rows else pd.DataFrame({"loss": []}, dtype=str)
