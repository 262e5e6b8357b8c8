"""A page of a large study stays small: few runs one by one, and its data in files beside it."""

import csv
from pathlib import Path

import pytest

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.reports import html
from lrladder.reports.downloads import data_uri
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
