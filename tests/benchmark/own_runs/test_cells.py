"""One batch per model and horizon, by each protocol, and runs that differ in what the file does not say."""

import math
from pathlib import Path

import pandas as pd
import pytest

from lrladder.benchmark.own_runs.cells import all_cells, cells
from lrladder.benchmark.own_runs.runs import load_runs

BATCHES = (1e5, 2e5, 4e5)
TOKENS = (1e9, 4e9, 1.6e10)


def frame() -> pd.DataFrame:
    """The best batch is 1e5 (D / 1e9)^0.5, and the best LR moves with the batch."""
    rows = []
    for tokens in TOKENS:
        for batch in BATCHES:
            off = math.log(batch / 1e5 / (tokens / 1e9) ** 0.5)
            for step in range(-2, 3):
                lr = 2.0 ** (step - 9)
                loss = 3 + 0.02 * off**2 + 0.02 * math.log(lr / (2.0**-9 * (batch / 2e5) ** 0.5)) ** 2
                rows.append({"n_params": 1e8, "tokens": tokens, "batch_tokens": batch, "lr": lr, "loss": loss})
    return pd.DataFrame(rows)


def read(data: pd.DataFrame, folder: Path) -> Path:
    path = folder / "runs.csv"
    data.to_csv(path, index=False)
    return path


@pytest.mark.parametrize(("protocol", "expected"), [("best", BATCHES), ("rule", BATCHES), ("fixed", (4e5,) * 3)])
def test_each_protocol_takes_its_batch(tmp_path: Path, protocol: str, expected: tuple[float, ...]) -> None:
    """All batches are equally common, so `fixed` takes the largest."""
    found = cells(load_runs(read(frame(), tmp_path)), protocol=protocol)  # type: ignore[arg-type]
    assert tuple(cell.batch_tokens for cell in found) == expected


def test_every_batch_is_a_sweep_of_its_own(tmp_path: Path) -> None:
    assert len(all_cells(load_runs(read(frame(), tmp_path)))) == len(TOKENS) * len(BATCHES)


def test_without_batches_the_best_run_of_each_lr_counts(tmp_path: Path) -> None:
    data = frame()
    found = cells(load_runs(read(data.drop(columns="batch_tokens"), tmp_path)))
    for cell in found:
        lowest = data[data.tokens == cell.tokens].groupby("lr").loss.min()
        assert list(cell.losses) == pytest.approx(list(lowest))


def test_seeds_are_replicates(tmp_path: Path) -> None:
    data = pd.concat([frame().assign(seed=seed) for seed in (0, 1)])
    found = all_cells(load_runs(read(data, tmp_path)))
    assert all(len(cell.lrs) == 10 for cell in found)
