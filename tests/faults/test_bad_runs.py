"""Bad tables of runs: one line that names the file, row and column, exit code 2, never a traceback."""

import sys
from pathlib import Path

import pytest

from lrladder.benchmark.cli import main
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.own_runs import files
from lrladder.benchmark.own_runs.runs import load_runs
from lrladder.benchmark.recommend.run_log import read_run_log
from tests.faults.readers import faults, readers

HEADER = "n_params,tokens,lr,loss\n"
GOOD = "1e7,1e9,1e-3,2.5\n"


def _refusal(tmp_path: Path, text: str | bytes) -> str:
    path = tmp_path / "runs.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as refused:
        load_runs(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("1e7,1e9,abc,2.5", "row 3: column lr: 'abc' is not a number"),
        ("1e7,1e9,,2.5", "row 3: column lr: '' is not a number"),
        ("1e7,1e9,nan,2.5", "row 3: column lr: 'nan' must be positive and finite"),
        ("1e7,1e9,inf,2.5", "row 3: column lr: 'inf' must be positive and finite"),
        ("1e7,1e9,-1e-3,2.5", "row 3: column lr: '-1e-3' must be positive"),
        ("1e7,1e9,0,2.5", "row 3: column lr: '0' must be positive"),
        ("0,1e9,1e-3,2.5", "row 3: column n_params: '0' must be positive"),
        ("1e7,-5,1e-3,2.5", "row 3: column tokens: '-5' must be positive"),
        ("10X,1e9,1e-3,2.5", "row 3: column n_params: '10X' is not a number; write it plainly, as 1.5e9 or 1.5B"),
        ("1e7,1e9,1M,2.5", "row 3: column lr: '1M' is not a number; write it plainly, as 3e-4"),
        (
            "1e7,1e9,1e-3,low",
            "row 3: column loss: 'low' is not a number; leave it empty or write nan for a diverged run",
        ),
        ("1e7,1e9,1e-3,-2.5", "row 3: column loss: '-2.5' must be positive"),
        (
            "1e1,1e9,1e-3,2.5",
            "row 3: column n_params: 10, but 10,000,000 in row 2, and nothing between: are there two units",
        ),
        ("1e7,1e9,1e-3,2.5,7", "row 3: it has more than the 4 fields of the header; quote commas"),
    ],
)
def test_a_bad_value_is_named_by_row_and_column(tmp_path: Path, row: str, said: str) -> None:
    assert said in _refusal(tmp_path, HEADER + GOOD + row + "\n")


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("n_active", "2e7", "row 2: column n_active: 20,000,000 is more than n_params (10,000,000)"),
        ("n_active", "x", "row 2: column n_active: 'x' is not a number"),
        ("batch_tokens", "0", "row 2: column batch_tokens: '0' must be positive"),
        ("seed", "1.5", "row 2: column seed: '1.5' is not a whole number"),
        ("held_out", "2", "row 2: column held_out: '2' must be 0, or 1 for a run of a target"),
    ],
)
def test_a_bad_optional_value_is_named(tmp_path: Path, column: str, value: str, said: str) -> None:
    assert said in _refusal(tmp_path, f"n_params,tokens,lr,loss,{column}\n1e7,1e9,1e-3,2.5,{value}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty; the first line must name the columns n_params, tokens, lr, loss"),
        ("\n\n", "empty; the first line"),
        (HEADER, "no runs, only a header"),
        (HEADER + ",,,\n\n", "no runs, only a header"),
        (
            "n_params,tokens,learning_rate,loss\n" + GOOD,
            "row 1: no column lr; if these columns have that meaning, add --columns 'lr=",
        ),
        (
            "n_param,tokens,lr,loss\n" + GOOD,
            "row 1: no column n_params; if these columns have that meaning, add --columns 'n_par",
        ),
        ("n_params,tokens,lr,loss,lr\n" + GOOD, "row 1: column lr appears 2 times; keep one"),
        (b"n_params,tokens,lr,loss\n1e7,1e9,1e-3,\xff\n", "not UTF-8 text"),
        ("n_params,tokens,lr,loss\n".encode("utf-16"), "not UTF-8 text"),
        (
            b"\x00\x01\x02" * 50 + b"\n1\n",
            "row 1: no column n_params, tokens, lr, loss; for n_params, tokens, lr, loss name",
        ),
        (HEADER + '"1e7,1e9,1e-3,2.5\n', "not a CSV with 4 columns"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str | bytes, said: str) -> None:
    assert said in _refusal(tmp_path, text)


def test_bad_rows_are_counted(tmp_path: Path) -> None:
    assert "(2 more rows like it)" in _refusal(tmp_path, HEADER + 3 * "1e7,1e9,x,2\n")


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    with path.open("wb") as file:
        file.write(HEADER.encode())
        file.truncate(2**30)
    with pytest.raises(InputError, match=r"1,024 MiB is too large \(at most 128 MiB or 1,000,000 runs\)"):
        load_runs(path)


def test_too_many_rows_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_ROWS", 3)
    assert "more than 3 rows" in _refusal(tmp_path, HEADER + 4 * GOOD)


ODD_JSON = {
    "a long integer": '{"n_params": ' + "9" * 5000 + "}",
    "lists in lists": "[" * 100_000,
    "objects in objects": '{"a": ' * 100_000,
    "objects that are whole": '{"a": ' * 600 + "1" + "}" * 600,
}


@pytest.mark.parametrize("text", ODD_JSON.values(), ids=ODD_JSON)
def test_odd_json_is_refused_by_its_row(tmp_path: Path, text: str) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=r"runs.jsonl: row 1: ") as refused:
        load_runs(path)
    assert len(str(refused.value)) < 500 and "\n" not in str(refused.value)


@pytest.mark.parametrize("seed", [19069, 20842, 24969, 29323, 5372])
def test_a_damaged_parquet_file_is_one_line(seed: int, tmp_path: Path) -> None:
    """Inputs of tests/faults/readers.py for which pyarrow and pandas raise errors of other kinds."""
    reader = next(reader for reader in readers(tmp_path) if reader.name == "Parquet table")
    assert not list(faults(reader, [seed]))


def test_empty_fields_do_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_CELLS", 50)
    tables = {
        "runs.csv": ",".join(f"c{i}" for i in range(20)) + "\n" + 3 * "1\n",
        "runs.jsonl": "".join(f'{{"c{i}": 1}}\n' for i in range(8)),
    }
    for name, text in tables.items():
        (tmp_path / name).write_text(text)
        for read in (load_runs, read_run_log):
            with pytest.raises(InputError, match=r"are more than 50 fields; keep fewer columns"):
                read(tmp_path / name)


@pytest.mark.parametrize("loss", [1e308, 1e-307])
def test_absurd_losses_are_no_warning(tmp_path: Path, loss: float) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(HEADER + "".join(f"1e7,1e9,{i}e-4,{loss * i / 10}\n" for i in range(1, 9)))
    assert len(load_runs(path).frame) == 8


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("none.csv",), "none.csv: no such file"),
        (("{runs}", "--strategy", "magic"), "--strategy magic: this strategy is unknown; use one of fitting, "),
        (("{runs}", "--out", "{runs}"), "cannot be written"),
    ],
)
def test_the_command_refuses_in_one_line(
    arguments: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(HEADER + GOOD)
    monkeypatch.setattr(sys, "argv", ["lrladder", "replay", *(a.format(runs=path) for a in arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    error = capsys.readouterr().err.strip()
    assert stopped.value.code == 2
    assert "\n" not in error
    assert said in error
