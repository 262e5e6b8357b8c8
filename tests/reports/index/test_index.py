"""The index lists what is below a folder, in links that work wherever the folder goes, and overwrites nothing."""

import os
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from lrladder.benchmark.errors import InputError
from lrladder.reports.index import page as index_page
from lrladder.reports.owned_page import mark
from lrladder.reports.regret import page
from tests.reports.synthetic import build_results, empty_results

NAMES = ("plain", "with space #1?&", "<script>alert(1)<_script>", "javascript:alert(1)", "ünï/inner")


def _save(folder: Path, *, report: bool = True, **changes: object) -> Path:
    folder.mkdir(parents=True)
    results = build_results(**changes)
    (folder / "results.json").write_text(results.to_json())
    if report:
        page.write(results, folder / "report")
    return folder


def test_every_link_leads_to_a_report_below_the_folder(tmp_path: Path) -> None:
    reports = {_save(tmp_path / name) / "report" / "index.html" for name in NAMES}
    made, count = index_page.write(tmp_path)
    links = re.findall(r'<a href="([^"]+)"', made.read_text())
    assert count == len(links) == len(NAMES)
    assert all(link.startswith("./") for link in links)
    assert {tmp_path / unquote(link) for link in links} == reports


def test_names_and_presets_are_only_text(tmp_path: Path) -> None:
    _save(tmp_path / NAMES[2], preset="<script>alert(2)</script>")
    html = index_page.write(tmp_path)[0].read_text()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 2


def test_a_name_that_is_not_text_is_listed_and_linked(tmp_path: Path) -> None:
    _save(Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad-\xff")))
    assert '"./bad-%FF/report/index.html"' in index_page.write(tmp_path)[0].read_text()


def test_newest_first_with_state_and_what_is_not_there(tmp_path: Path) -> None:
    old = _save(tmp_path / "old")
    os.utime(old / "results.json", (0, 0))
    _save(tmp_path / "new", report=False, complete=False, lab="simulated")
    new, then = index_page.entries(tmp_path)
    assert (new.place, new.link, then.place, then.date) == ("new", None, "old", "1970-01-01 00:00")
    html = index_page.render([new, then])
    for text in ("no report yet", "SIMULATED", "partial", "complete", "mutransfer wins"):
        assert text in html


def test_a_damaged_folder_is_a_line_in_the_list(tmp_path: Path) -> None:
    _save(tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "results.json").write_text("{")
    html = index_page.write(tmp_path)[0].read_text()
    assert "not readable" in html and "cannot be read" in html and "./good/report" in html


def test_inner_and_hidden_folders_are_not_entered(tmp_path: Path) -> None:
    study = _save(tmp_path / "study")
    for inner in ("trials", "report/deeper", ".hidden", "tensorboard"):
        _save(study / inner)
    assert [entry.place for entry in index_page.entries(tmp_path)] == ["study"]
    assert [entry.place for entry in index_page.entries(study)] == ["."]


def test_the_index_replaces_itself_and_no_other_page(tmp_path: Path) -> None:
    _save(tmp_path / "study")
    made, _ = index_page.write(tmp_path)
    assert mark("index") in made.read_text()
    assert index_page.write(tmp_path)[0] == made
    made.write_text("mine " + mark("compare"))
    with pytest.raises(InputError, match="was not written by `lrladder index`"):
        index_page.write(tmp_path)
    assert made.read_text() == "mine " + mark("compare")


def test_a_study_without_targets_says_so(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(empty_results().to_json())
    [entry] = index_page.entries(tmp_path)
    assert entry.line == "no target has been scored"
    assert entry.held is not None and entry.held.complete is False
