"""Sorts the runs of a table by their status: those that count as results, that diverged, and that are left out."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from lrladder.benchmark.own_runs.settings import SWEEP

FINISHED = ("finished", "completed", "complete", "success", "succeeded", "done", "ok")
DIVERGED = ("diverged", "nan", "exploded")
EMPTY = ("", "none", "null", "na", "n/a")  # texts for a missing loss; nan is a loss that was logged


def apply_status(frame: pd.DataFrame, text: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """`frame` without the runs that are left out, and flags about these.

    `text` has status and loss as written. Without a status, every row counts, and a row without a loss diverged. With a
    status, finished and diverged runs count. Others are left out, because their last loss is not that of the horizon. A
    finished run that logged nan diverged.
    """
    status = text["status"].str.lower()
    if (status == "").all():
        return frame, ()
    logged = ~text["loss"].str.lower().isin(EMPTY)
    finished = status.isin(FINISHED) | ((status == "") & logged)
    diverged = status.isin(DIVERGED)
    counts = (finished & logged) | diverged
    kept = frame[counts].assign(loss=frame["loss"].where(~diverged, np.nan)[counts])
    return kept, tuple(_said(frame, text, counts, finished & ~logged, logged))


def _said(
    frame: pd.DataFrame, text: pd.DataFrame, counts: pd.Series, lossless: pd.Series, logged: pd.Series
) -> Iterator[str]:
    out = ~counts & ~lossless
    if out.any():
        names = ", ".join(
            f"{n} {status or 'without status'}" for status, n in text["status"][out].value_counts().items()
        )
        yield f"{out.sum():,} runs did not finish and are left out: {names}"
    if lossless.any():
        yield f"{lossless.sum():,} finished runs have no loss and are left out"
    perhaps = frame[out & logged & frame["loss"].isna()]
    top = frame[counts & frame["loss"].notna()].groupby(SWEEP, dropna=False)["lr"].max().rename("top").reset_index()
    beside = perhaps.merge(top, on=SWEEP, how="inner")
    above = beside[beside["lr"] > beside["top"]]
    if len(above):
        rows = ", ".join(f"row {row}" for row in above["row"].head(5))
        said = f"{len(above):,} runs logged nan above every LR that finished, so they perhaps diverged"
        yield f"{said} ({rows}); they enter no fit"
