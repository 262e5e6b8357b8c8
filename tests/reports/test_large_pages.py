"""A page of a large study stays small: few runs one by one, and its data in files beside it."""

import base64
import csv
import io
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.reports import downloads, html
from lrladder.reports.downloads import Download, data_uri, to_csv
from lrladder.reports.html import write_page
from lrladder.reports.regret import few as few_module
from lrladder.reports.regret import page
from lrladder.reports.regret.few import few, sentence
from tests.reports.synthetic import build_results


@pytest.fixture(scope="module")
def results() -> RegretResults:
    return build_results()


def test_a_study_that_fits_is_shown_whole(results: RegretResults) -> None:
    assert few(results) is results and sentence(results) == ""


@pytest.mark.parametrize("limit", [1, 40, 80])
def test_few_runs_are_whole_seeds_of_every_cell(
    limit: int, results: RegretResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(few_module, "SHOWN", limit)
    kept = few(results).measurements
    cells = {(m.rung, m.parametrization, m.horizon, m.lr, m.role_lrs) for m in results.measurements}
    assert {(m.rung, m.parametrization, m.horizon, m.lr, m.role_lrs) for m in kept} == cells
    assert [m for m in results.measurements if m in kept] == list(kept)  # in their order
    assert len(kept) <= max(limit, len(cells))


def test_what_is_left_out_is_said_and_counts_are_of_all(
    results: RegretResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counts(text: str) -> list[str]:
        return [part.split("<")[0] for part in text.split("tokens, n = ")[1:]]

    whole = page.render(results)
    monkeypatch.setattr(few_module, "SHOWN", 1)
    text = page.render(results)
    assert counts(text) == counts(whole) != []
    assert sentence(results) in text and "left_out" not in text
    assert text.count("<tr data-i=") == len(few(results).measurements) < whole.count("<tr data-i=")


def test_the_data_of_a_large_page_are_files_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = "a,b\r\n1,2\r\n"
    text = f'<title>LR Ladder</title><a download="own.csv" href="{data_uri(table)}">own</a>'
    assert write_page(text, tmp_path).read_text() == text
    monkeypatch.setattr(html, "MAX_PAGE", 10)
    for _ in range(2):  # the second time it is our own file
        written = write_page(text, tmp_path).read_text()
        assert written == '<title>LR Ladder</title><a download="own.csv" href="own.csv">own</a>'
        assert list(csv.reader((tmp_path / "own.csv").open())) == [["a", "b"], ["1", "2"]]
    (tmp_path / "own.csv").write_text("columns,of,an,older,version")  # to which our page links
    write_page(text, tmp_path)
    assert (tmp_path / "own.csv").read_bytes() == table.encode()
    (tmp_path / "index.html").unlink()
    (tmp_path / "own.csv").write_text("something else")
    with pytest.raises(InputError, match="not written by this command"):
        write_page(text, tmp_path)
    assert (tmp_path / "own.csv").read_text() == "something else"


def _offer(name: str, rows: int) -> Download:
    frame = pd.DataFrame({"a": range(rows), "b": ["=1+1", None] * (rows // 2)})
    return Download.of(name, frame)


def _page(*offered: Download) -> str:
    links = [f'<a download="{file.name}" href="{file.uri}">{file.name}</a>' for file in offered]
    return f"<title>LR Ladder</title>{' '.join(links)}"


@pytest.mark.parametrize("most", [10, 10**6])
def test_a_page_holds_no_table_beyond_its_limit(most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what the reader gets is the same, in the page or beside it."""
    monkeypatch.setattr(downloads, "MOST_EMBEDDED", most)
    monkeypatch.setattr(downloads, "PIECE", 3)
    small, large = _offer("small.csv", 0), _offer("large.csv", 20)
    page = write_page(_page(small, large), tmp_path, [small, large])
    assert (tmp_path / "large.csv").exists() == (most == 10)
    found = dict(re.findall(r'download="([a-z.]+)" href="([^"]+)"', page.read_text()))
    for file in (small, large):
        whole = "".join(file.pieces())
        if most == 10:
            assert found[file.name] == file.name
            assert (tmp_path / file.name).read_bytes().decode() == whole
        else:
            assert base64.b64decode(found[file.name].partition(",")[2]).decode() == whole
    rows = list(csv.reader(io.StringIO("".join(large.pieces()), newline="")))
    assert rows[:3] == [["a", "b"], ["0", "'=1+1"], ["1", ""]] and len(rows) == 21


def test_a_large_table_replaces_no_file_of_someone_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "MOST_EMBEDDED", 10)
    large = _offer("large.csv", 20)
    (tmp_path / "large.csv").write_text("something else")
    with pytest.raises(InputError, match="not written by this command"):
        write_page(_page(large), tmp_path, [large])
    assert (tmp_path / "large.csv").read_text() == "something else" and not (tmp_path / "index.html").exists()


FIELDS = st.one_of(st.text(st.sampled_from("a,\"\r\n =-'")), st.floats(), st.integers(), st.booleans(), st.none())


@given(st.integers(1, 3).flatmap(lambda n: st.lists(st.tuples(*[FIELDS] * n), max_size=5)))
def test_a_frame_is_written_as_by_the_csv_module(rows: list[tuple[Any, ...]]) -> None:
    """But for formulas, and what is missing."""
    frame = pd.DataFrame(rows, columns=None if rows else ["a"])
    text = io.StringIO()
    csv.writer(text).writerow(frame.columns)
    for row in frame.itertuples(index=False):
        safe = ["'" + v if isinstance(v, str) and v[:1] in ("=", "-", "\r") else v for v in row]
        csv.writer(text).writerow(["" if pd.isna(value) else value for value in safe])
    assert to_csv(frame) == text.getvalue()


@given(
    st.lists(
        st.tuples(
            st.tuples(st.text(), st.integers(), st.floats()),
            st.dictionaries(st.text(min_size=1), st.floats(), max_size=3),
        ),
        max_size=5,
    )
)
def test_the_numbers_of_runs_are_written_as_the_same_table_in_a_frame(runs: list[tuple[Any, dict[str, float]]]) -> None:
    columns = ("text", "whole", "number", "metric", "value")
    rows = [[*run, name, number] for run, numbers in runs for name, number in numbers.items()]
    frame = pd.DataFrame(rows, columns=columns, dtype=object)
    assert "".join(Download.of_runs("", columns, lambda: runs).pieces()) == to_csv(frame)
