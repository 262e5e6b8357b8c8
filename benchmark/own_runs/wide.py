"""Turns tables with LRs down and sizes across, or the other way round, into one row per run."""

from collections.abc import Mapping

import pandas as pd

from lrladder.benchmark.own_runs.numerals import count


def lengthen(table: pd.DataFrame, chosen: Mapping[str, str]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """One row per run, and how the table was read.

    A table that has a column of losses, or fewer than two columns named by numbers, is returned unchanged. The columns
    named by numbers hold the losses. If all these numbers are below 1 they are LRs, otherwise sizes.
    """
    names = [str(name) for name in table.columns]
    numbers = {name: value for name in names if (value := count(name)) is not None and name not in chosen.values()}
    if "loss" in chosen or "loss" in names or len(numbers) < 2 or len(set(names)) < len(names):
        return table, ()
    across = "lr" if all(value < 1 for value in numbers.values()) else "n_params"
    if across in names or across in chosen:
        return table, ()
    kept = [name for name in names if name not in numbers]
    parts = []
    for name in numbers:
        part = table[kept].copy()
        part[across], part["loss"] = name, table[name]
        parts.append(part)
    said = f"read as a wide table: {across} across ({', '.join(numbers)}), losses in the cells"
    return pd.concat(parts), (said,)
