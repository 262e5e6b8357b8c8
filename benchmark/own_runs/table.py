"""Reads and checks a table of training runs. A fault gives one line that names the file, row and column."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.own_runs.columns import rename
from lrladder.benchmark.own_runs.files import Source, name_of, read_text
from lrladder.benchmark.own_runs.numerals import counts, numbers
from lrladder.benchmark.own_runs.settings import SETTINGS
from lrladder.benchmark.own_runs.status import apply_status
from lrladder.benchmark.own_runs.units import check_units
from lrladder.benchmark.own_runs.wide import lengthen

COUNTS = ("n_params", "n_active", "tokens", "batch_tokens")
DIVERGED = ("", "nan", "inf", "+inf", "-inf", "none", "null", "na", "n/a", "diverged")  # losses of a run that diverged
TRUTHS = {"": 0.0, "0": 0.0, "0.0": 0.0, "false": 0.0, "1": 1.0, "1.0": 1.0, "true": 1.0}
NO_SEED = -1


def read_frame(given: Source, columns: Mapping[str, str] | None = None) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The runs of a file or a DataFrame, and flags that say how it was read. Raises InputError.

    `columns` maps our column names to those of the file. The frame has the columns n_params, tokens, lr, loss,
    n_active, batch_tokens, family, seed, held_out, log, those of SETTINGS and `row`, the place of the run in the file.
    `loss` is NaN for a diverged run. Where the file has no value, `n_active` is n_params, `batch_tokens` and settings
    are NaN, `family` and `log` "", `seed` NO_SEED and `held_out` False.
    """
    chosen, source = columns or {}, name_of(given)
    table, wide = lengthen(read_text(given), chosen)
    rows = pd.Series(table.index.to_numpy())
    text, renamed = rename(source, table.reset_index(drop=True), chosen)
    check = _Check(source, text, rows)
    frame = pd.DataFrame({"row": rows})
    for column in ("n_params", "tokens"):
        frame[column] = check.positive(column, counts)
    frame["lr"] = check.positive("lr", numbers)
    frame["loss"] = check.losses()
    frame["n_active"] = check.positive("n_active", counts, empty=frame["n_params"])
    frame["batch_tokens"] = check.positive("batch_tokens", counts, empty=pd.Series(np.nan, frame.index))
    frame["family"] = text["family"]
    frame["seed"] = check.seeds()
    frame["held_out"] = check.held_out()
    frame["log"] = text["log"]
    for column in SETTINGS:
        frame[column] = check.setting(column)
    frame, left_out = apply_status(frame, text)
    if frame.empty:
        raise InputError(f"{source}: no run finished or diverged by its status; {'; '.join(left_out)}")
    _check_active(source, frame)
    for column in COUNTS:
        check_units(source, frame, column)
    return frame.reset_index(drop=True), (*wide, *renamed, *left_out)


class _Check:
    """Turns columns of text into values. The first bad value is refused with its row."""

    def __init__(self, source: str, text: pd.DataFrame, rows: pd.Series) -> None:
        self.source, self.text, self.rows = source, text, rows

    def positive(
        self, column: str, parse: Callable[[pd.Series], pd.Series], *, empty: pd.Series | None = None
    ) -> pd.Series:
        """A column as positive, finite numbers. `empty` has the values for empty fields; None: they are refused."""
        text = self.text[column]
        found = parse(text)
        unset = text == "" if empty is not None else pd.Series(False, text.index)
        spelled = text.str.lower().str.lstrip("+-").isin(("nan", "inf", "infinity"))
        how = "1.5e9 or 1.5B" if parse is counts else "3e-4"
        self._refuse(column, found.isna() & ~unset & ~spelled, f"is not a number; write it plainly, as {how}")
        good = np.isfinite(found) & (found > 0)
        self._refuse(column, ~good & ~unset, "must be positive and finite; correct or remove the row")
        return found if empty is None else found.where(~unset, empty)

    def losses(self) -> pd.Series:
        """Losses, NaN for diverged runs."""
        text = self.text["loss"]
        diverged = text.str.lower().isin(DIVERGED)
        found = numbers(text).where(~diverged)
        why = "is not a number; leave it empty or write nan for a diverged run"
        self._refuse("loss", found.isna() & ~diverged, why)
        self._refuse("loss", found <= 0, "must be positive: the loss in nats per token")
        return found.where(np.isfinite(found))

    def seeds(self) -> pd.Series:
        """Seeds. An empty field is NO_SEED."""
        unset = self.text["seed"] == ""
        found = numbers(self.text["seed"])
        whole = (found >= 0) & (found < 2**63) & (found % 1 == 0)
        why = "is not a whole number from 0; leave it empty if it is not known"
        self._refuse("seed", ~whole & ~unset, why)
        return found.where(whole, NO_SEED).astype("int64")

    def setting(self, column: str) -> pd.Series:
        """A setting as numbers from 0. An empty field is NaN."""
        unset = self.text[column] == ""
        found = counts(self.text[column])
        self._refuse(column, (found.isna() | (found < 0)) & ~unset, "is not a number from 0; leave it empty if unknown")
        return found

    def held_out(self) -> pd.Series:
        """Whether each run is one of a target."""
        values = self.text["held_out"].str.lower().map(TRUTHS)
        self._refuse("held_out", values.isna(), "must be 0, or 1 for a run of a target")
        return values == 1

    def _refuse(self, column: str, bad: pd.Series, why: str) -> None:
        if bad.any():
            first = bad.index[bad][0]
            more = int(bad.sum()) - 1
            others = f" ({more:,} more rows like it)" if more else ""
            value = str(self.text.at[first, column])[:60]
            raise InputError(f"{self.source}: row {self.rows[first]}: column {column}: {value!r} {why}{others}")


def _check_active(source: str, frame: pd.DataFrame) -> None:
    bad = frame["n_active"] > frame["n_params"]
    if bad.any():
        row = frame[bad].iloc[0]
        values = f"{row.n_active:,.12g} is more than n_params ({row.n_params:,.12g})"
        raise InputError(f"{source}: row {row.row}: column n_active: {values}; n_params counts all parameters")
