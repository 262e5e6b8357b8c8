"""Tables of runs: what a row means, repeats, optional columns, size."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lrladder.benchmark.own_runs.cells import cells
from lrladder.benchmark.own_runs.runs import load_runs
from tests.benchmark.own_runs.run_tables import save, table


def _load(tmp_path: Path, text: str) -> pd.DataFrame:
    path = tmp_path / "runs.csv"
    path.write_text(text, encoding="utf-8")
    return load_runs(path).frame


def test_only_the_required_columns_are_needed(tmp_path: Path) -> None:
    frame = _load(tmp_path, "lr,loss,tokens,n_params\n1e-3,2.5,1e9,1e7\n")
    row = frame.iloc[0]
    assert (row.n_params, row.n_active, row.tokens, row.lr, row.loss) == (1e7, 1e7, 1e9, 1e-3, 2.5)
    assert math.isnan(row.batch_tokens)
    assert (row.family, row.seed, row.held_out, row.row) == ("", -1, False, 2)


def test_optional_columns_are_read_and_others_left_alone(tmp_path: Path) -> None:
    header = "n_params,tokens,lr,loss,n_active,batch_tokens,family,seed,held_out,note,note\n"
    frame = _load(tmp_path, header + "1e8,1e9,0.001,2.5,2e7,65536,=cmd(),3,1,<script>,x\n1e8,1e9,0.002,2.6,,,a,,,,\n")
    first, second = frame.iloc[0], frame.iloc[1]
    assert (first.n_active, first.batch_tokens, first.family, first.seed, first.held_out) == (
        2e7,
        65536,
        "=cmd()",
        3,
        True,
    )
    assert (second.n_active, second.seed, second.held_out) == (1e8, -1, False)


@pytest.mark.parametrize("loss", ["", "nan", "NaN", "inf", "-inf", "diverged", "None"])
def test_a_loss_that_is_no_number_is_a_diverged_run(tmp_path: Path, loss: str) -> None:
    frame = _load(tmp_path, f"n_params,tokens,lr,loss\n1e7,1e9,1e-3,2.5\n1e7,1e9,2e-3,{loss}\n")
    assert frame.loss.isna().tolist() == [False, True]


def test_byte_order_mark_blank_lines_spaces_and_windows_line_ends(tmp_path: Path) -> None:
    frame = _load(tmp_path, "\ufeffn_params, tokens ,lr,loss\r\n\r\n 1e7,1e9 ,1e-3,2.5\r\n,,,\r\n1e7,1e9,2e-3,2.6\r\n")
    assert frame.row.tolist() == [3, 5]


def test_a_run_written_twice_counts_once(tmp_path: Path) -> None:
    data = table()
    runs = load_runs(save(pd.concat([data, data.iloc[:3]]), tmp_path / "runs.csv"))
    assert len(runs.frame) == len(data)
    assert runs.flags == (f"3 rows repeat a run and count once, the first in row {len(data) + 2}",)


def test_runs_that_differ_in_their_loss_alone_are_replicates(tmp_path: Path) -> None:
    data = table()
    runs = load_runs(save(pd.concat([data, data.assign(loss=data.loss + 1e-3)]), tmp_path / "runs.csv"))
    assert len(runs.frame) == 2 * len(data)
    assert "taken as replicates; if their batch sizes differ, give them in a column batch_tokens" in runs.flags[0]


def test_a_cell_held_out_in_part_is_held_out(tmp_path: Path) -> None:
    data = table().assign(held_out=0)
    data.loc[0, "held_out"] = 1
    runs = load_runs(save(data, tmp_path / "runs.csv"))
    cell = (runs.frame.n_params == data.n_params[0]) & (runs.frame.tokens == data.tokens[0])
    assert runs.frame.held_out.equals(cell.rename("held_out"))
    assert runs.flags == ("held_out differs within 1 cells: all of their runs are held out",)


def test_shuffled_rows_give_the_same_cells(tmp_path: Path) -> None:
    data = table(noise=0.003)
    ordered = cells(load_runs(save(data, tmp_path / "a.csv")))
    shuffled = cells(load_runs(save(data.sample(frac=1, random_state=1), tmp_path / "b.csv")))
    assert ordered == shuffled


def test_a_cell_with_one_lr_or_none_that_finished_is_not_bracketed(tmp_path: Path) -> None:
    data = table()
    first = (data.n_params == data.n_params[0]) & (data.tokens == data.tokens[0])
    second = (data.n_params == data.n_params[0]) & (data.tokens == data.tokens.max())
    data.loc[second, "loss"] = np.nan
    found = cells(load_runs(save(data[~first | (data.index == 0)], tmp_path / "runs.csv")))
    assert sorted(cell.curve.status for cell in found if cell.n_params == data.n_params[0]) == [
        "few",
        "few",
        "interior",
    ]


def test_a_hundred_thousand_rows_are_read(tmp_path: Path) -> None:
    n = 100_000
    text = "n_params,tokens,lr,loss,seed\n" + "".join(f"1e7,1e9,{1 + i % 9},2.5,{i}\n" for i in range(n))
    assert len(_load(tmp_path, text)) == n
