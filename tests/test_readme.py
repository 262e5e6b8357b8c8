"""The README's examples on a table of runs are run as they stand."""

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lrladder.benchmark.cli import app
from tests.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
TABLE = "docs/runs.csv"
EXPONENTS = {"n": -0.35, "tokens": -0.15}  # of the law that made the table
ON_TABLE = [
    shlex.split(line, comments=True)[1:]
    for line in README.splitlines()
    if re.match(rf"    lrladder (fit|replay) {TABLE}|    lrladder recommend fitted", line)
]


def call(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the checkout, for what the commands write."""
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_examples_run_and_answer(here: Path) -> None:
    assert {arguments[0] for arguments in ON_TABLE} == {"fit", "recommend", "replay"}
    said = {arguments[0]: call(*arguments) for arguments in ON_TABLE}
    assert (here / "fitted" / "report" / "index.html").is_file()
    assert "12 interior" in said["fit"]
    assert re.search(r"^lr 0\.\d+, 90% interval", said["recommend"])
    assert "fitting" in said["replay"]


def test_the_row_that_is_shown_is_of_the_table() -> None:
    rows = (ROOT / TABLE).read_text().splitlines()
    shown = README.split("## Your own runs")[1].strip().splitlines()[:2]
    assert [line.strip() for line in shown] == rows[:2]


def test_the_law_that_made_the_table_is_found(here: Path) -> None:
    law = json.loads(call("fit", TABLE, "--json"))["laws"][0]
    for name, truth in EXPONENTS.items():
        found = law["exponents"][name]
        assert found["low"] <= truth <= found["high"]


def test_one_sweep_has_published_exponents_side_by_side(here: Path) -> None:
    head, *rows = (ROOT / TABLE).read_text().splitlines()
    one = [row for row in rows if row.startswith(",".join(rows[0].split(",")[:2]))]
    (here / "one.csv").write_text("\n".join([head, *one]))
    call("fit", "one.csv", "--out", "one")
    target = ("--n-params", "3e8", "--tokens", "6e9", "--batch-tokens", "262144")
    assumed = json.loads(call("recommend", "one", *target, "--json"))["assumed"]
    assert len({law["source"] for law in assumed}) > 2
