"""One table in many spellings reads as one table."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.own_runs.cells import cells
from lrladder.benchmark.own_runs.columns import parse_columns
from lrladder.benchmark.own_runs.runs import Runs, load_runs

PLAIN = "n_params,tokens,batch_tokens,lr,loss\n" + "".join(
    f"{n},{d},1000000,{lr},{2.5 + 0.02 * math.log(lr / 1.1e-3) ** 2:.6f}\n"
    for n in (350_000_000, 1_300_000_000)
    for d in (5_000_000_000,)
    for lr in (0.0005, 0.001, 0.002)
)
SEEN = ["n_params", "tokens", "batch_tokens", "lr", "loss", "n_active", "family", "seed", "held_out"]


def read(folder: Path, text: str, name: str = "runs.csv", **columns: str) -> Runs:
    path = folder / name
    path.write_text(text)
    return load_runs(path, columns)


def as_jsonl(text: str) -> str:
    names, *rows = (line.split(",") for line in text.splitlines())
    return "\n".join("{" + ", ".join(f'"{n}": {v}' for n, v in zip(names, row, strict=True)) + "}" for row in rows)


@pytest.mark.parametrize(
    ("name", "spelt"),
    [
        ("tabs.tsv", PLAIN.replace(",", "\t")),
        ("semicolons.csv", PLAIN.replace(",", ";")),
        ("decimal_commas.csv", PLAIN.replace(",", ";").replace(".", ",")),
        ("letters.csv", PLAIN.replace("350000000", "350M").replace("1300000000", "1.3B").replace("5000000000", "5 b")),
        ("groups.csv", PLAIN.replace("1300000000", '"1,300,000,000"').replace("5000000000", "5_000_000_000")),
        ("powers.csv", PLAIN.replace(",1000000,", ",10^6,")),
        ("blank_lines.csv", PLAIN.replace("\n", "\n\n")),
        ("empty_rows.csv", PLAIN.replace("\n", "\n,,,,\n", 4)),
        ("windows.csv", PLAIN.replace("\n", "\r\n")),
        ("excel.csv", "\ufeff" + PLAIN),
        ("lines.jsonl", as_jsonl(PLAIN)),
        ("list.json", "[" + as_jsonl(PLAIN).replace("\n", ",\n") + "]"),
        ("states.csv", PLAIN.replace("\n", ",finished\n").replace("loss,finished", "loss,State")),
    ],
)
def test_every_spelling_is_the_same_table(name: str, spelt: str, tmp_path: Path) -> None:
    plain, other = read(tmp_path, PLAIN), read(tmp_path, spelt, name)
    pd.testing.assert_frame_equal(plain.frame[SEEN], other.frame[SEEN])


def test_parquet_where_pyarrow_is(tmp_path: Path) -> None:
    plain, path = read(tmp_path, PLAIN), tmp_path / "runs.parquet"
    try:
        pd.read_csv(tmp_path / "runs.csv").to_parquet(path)
    except ImportError:
        path.write_bytes(b"PAR1")
        with pytest.raises(InputError, match="Parquet needs pyarrow"):
            load_runs(path)
        return
    pd.testing.assert_frame_equal(plain.frame[SEEN], load_runs(path).frame[SEEN])


@pytest.mark.parametrize(
    ("status", "loss", "kept", "diverged"),
    [
        ("finished", "2.6", True, False),
        ("FINISHED", "nan", True, True),
        ("finished", "", False, False),
        ("diverged", "7.1", True, True),
        ("diverged", "", True, True),
        ("crashed", "2.6", False, False),
        ("running", "", False, False),
        ("KILLED", "nan", False, False),
        ("", "2.6", True, False),
        ("", "", False, False),
    ],
)
def test_a_status_says_whether_a_loss_counts(
    status: str, loss: str, kept: bool, diverged: bool, tmp_path: Path
) -> None:
    rows = PLAIN.replace("\n", ",finished\n").replace("loss,finished", "loss,status")
    found = read(tmp_path, rows + f"350000000,5000000000,1000000,0.004,{loss},{status}\n").frame
    last = found[found["lr"] == 0.004]
    assert len(last) == kept
    assert last["loss"].isna().all() == (diverged or not kept)


@pytest.mark.parametrize(("lr", "loss", "said"), [(0.004, "nan", True), (0.004, "", False), (0.0015, "nan", False)])
def test_a_logged_nan_above_every_finished_lr_is_perhaps_a_divergence(
    lr: float, loss: str, said: bool, tmp_path: Path
) -> None:
    rows = PLAIN.replace("\n", ",finished\n").replace("loss,finished", "loss,status")
    runs = read(tmp_path, rows + f"350000000,5000000000,1000000,{lr},{loss},crashed\n")
    assert any("perhaps diverged (row 8)" in flag for flag in runs.flags) == said


def test_a_row_is_named_by_its_line_after_blank_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="row 5: column lr: 'x'"):
        read(tmp_path, "n_params,tokens,lr,loss\n1e7,1e9,1e-3,2.5\n\n,,,\n1e7,1e9,x,2.5\n")


def test_losses_in_bf16_are_known_as_such(tmp_path: Path) -> None:
    lrs = [1e-3 * 2.0**k for k in range(-3, 4)]
    losses = [2.9 + 0.02 * math.log(lr / 1.3e-3) ** 2 for lr in lrs]
    table = "n_params,tokens,lr,loss\n" + "".join(f"1e8,1e10,{lr},{{}}\n" for lr in lrs)
    exact = read(tmp_path, table.format(*losses))
    rounded = read(tmp_path, table.format(*(np.round(np.array(losses) * 64) / 64)))
    assert not exact.flags or not any("bf16" in flag for flag in exact.flags)
    assert any("rounded to bf16, steps of 15.6 millinats" in flag for flag in rounded.flags)
    (sharp,), (blunt,) = cells(exact), cells(rounded)
    assert blunt.curve.lr_low <= sharp.curve.lr_best <= blunt.curve.lr_high
    assert blunt.curve.sd_ln_lr > 3 * sharp.curve.sd_ln_lr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lr", "--columns 'lr': write name=column"),
        ("rate=lr", "--columns rate: there is no such column; use one of n_params"),
        ("lr=a,lr=b", "--columns lr: given twice"),
    ],
)
def test_a_bad_choice_of_columns_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_columns(text)
    assert said in str(refused.value)


def test_a_column_that_is_not_there_is_refused_with_a_near_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--columns loss=los: there is no such column; did you mean 'loss'\?"):
        read(tmp_path, PLAIN, loss="los")
