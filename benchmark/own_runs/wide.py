"""Tables with learning rates down and sizes across, or the other way round, made one row a run."""

from collections.abc import Mapping

import pandas as pd

from lrladder.benchmark.own_runs.numerals import count


def lengthen(table: pd.DataFrame, chosen: Mapping[str, str]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """One row a run, and how the table was read; unchanged where it names a loss or fewer than two numbers.

    Columns named by numbers hold the losses: of LRs where all numbers are below 1, else of sizes.
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
