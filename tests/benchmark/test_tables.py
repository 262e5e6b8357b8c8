"""Tables on the terminal, at 80 columns and fewer."""

import io
import json
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from lrladder.benchmark import upgrade
from lrladder.benchmark.commands.plan_table import render
from lrladder.benchmark.commands.status_view import view
from lrladder.benchmark.config.text import preset_names
from lrladder.benchmark.studies.kinds import KINDS, load_study, plan_of
from lrladder.benchmark.studies.watcher import Watcher
from lrladder.benchmark.tables import WordTable, word_widths
from lrladder.reports.compare import side_by_side
from lrladder.reports.compare.page import show as show_comparison
from lrladder.reports.pages import PAGES
from tests.paths import ROOT


def printed(what: object, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, markup=False, emoji=False)
    if isinstance(what, WordTable):
        console.print(what)
    else:
        render(what, console)  # type: ignore[arg-type]
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("preset", preset_names())
def test_a_plan_cuts_no_word_at_80_columns(preset: str) -> None:
    text = printed(plan_of(load_study(preset)), 80)
    assert "…" not in text
    assert max(map(cell_len, text.splitlines())) <= 80


def test_words_of_the_plan_of_cpu_are_whole_at_80_columns() -> None:
    made = plan_of(load_study("cpu"))
    words = printed(made, 80).split()
    for trial in made.trials:
        assert trial.rung in words
        assert trial.payer in words
    assert {"proposed", "131k"} <= set(words)


def test_nothing_is_lost_even_where_words_must_break() -> None:
    table = WordTable("a title", ("name", "number"), left=1)
    table.add_row("a" * 60, "1" * 60)
    text = printed(table, 40)
    assert text.count("a") == 60 + len(re.findall("a", "a titlename"))
    assert text.count("1") == 60


@given(
    st.lists(st.lists(st.text("ab ", max_size=12), min_size=3, max_size=3), min_size=1, max_size=6), st.integers(6, 90)
)
def test_widths_keep_within_the_terminal_and_keep_words_where_they_can(columns: list[list[str]], width: int) -> None:
    widths = word_widths(columns, width)
    words = [max((len(word) for text in column for word in text.split()), default=0) for column in columns]
    assert sum(widths) <= max(width, len(columns))
    if sum(max(1, word) for word in words) <= width:
        assert all(at >= max(1, word) for at, word in zip(widths, words, strict=True))


@pytest.mark.parametrize("folder", ["folder_v3", "axes_v1", "power_v1"])
def test_results_on_the_terminal_cut_no_word_at_80_columns(folder: str) -> None:
    text = (ROOT / "tests" / "fixtures" / folder / "results.json").read_text(encoding="utf-8")
    name = upgrade.results(json.loads(text))["schema"]
    kind = next(kind for kind in KINDS.values() if kind.schema == name)
    console = Console(file=io.StringIO(), width=80, markup=False, emoji=False)
    PAGES[name].show(kind.results_model.from_json(text), console)
    assert isinstance(console.file, io.StringIO)
    assert "…" not in console.file.getvalue()


def test_a_status_and_a_comparison_cut_no_word_at_80_columns(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        shutil.copytree(ROOT / "tests" / "fixtures" / "folder_v3", folder)
    console = Console(file=io.StringIO(), width=80, markup=False, emoji=False)
    console.print(view(Watcher(folders[0]).look(), 0.0))
    show_comparison(side_by_side.load(folders), console)
    assert isinstance(console.file, io.StringIO)
    assert "32,768" in console.file.getvalue()
    assert "…" not in console.file.getvalue()


def test_no_table_on_the_terminal_cuts_words() -> None:
    """rich's own tables cut a cell that is too wide; WordTable, which uses one inside, does not."""
    sources = [path for part in ("benchmark", "reports") for path in (ROOT / part).rglob("*.py")]
    with_table = [path.name for path in sources if "from rich.table import" in path.read_text(encoding="utf-8")]
    assert with_table == ["tables.py"]
