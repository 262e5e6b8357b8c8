"""Tables of runs with a known law, as a user's CSV would hold them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

SIZES = (1e7, 4e7, 1.6e8)
HORIZONS = (1e9, 4e9, 1.6e10)
K, U, V = 20.0, 0.3, 0.25  # lr* = K N^-U D^-V
CURVATURE = 0.02


def best_lr(n: float, tokens: float) -> float:
    return float(K * n**-U * tokens**-V)


def table(
    *, sizes: Sequence[float] = SIZES, horizons: Sequence[float] = HORIZONS, noise: float = 0.0, seed: int = 0
) -> pd.DataFrame:
    """Nine LRs in steps of 2 about the middle cell's best, for every size and horizon."""
    rng = np.random.default_rng(seed)
    middle = best_lr(sizes[len(sizes) // 2], horizons[len(horizons) // 2])
    rows = []
    for n in sizes:
        for tokens in horizons:
            for lr in middle * 2.0 ** np.arange(-4, 5):
                rise = CURVATURE * np.log(lr / best_lr(n, tokens)) ** 2
                loss = 2 + 400 * n**-0.34 + 400 * tokens**-0.28 + rise + noise * rng.standard_normal()
                rows.append({"n_params": n, "tokens": tokens, "lr": lr, "loss": loss})
    return pd.DataFrame(rows)


def save(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_csv(path, index=False)
    return path
