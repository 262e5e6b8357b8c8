"""Folders that hold no results, others' files or hostile names: one clear line, nothing of anyone's written over."""

from pathlib import Path

import pytest

from tests.faults.refusals import Refusals
from tests.reports.synthetic import build_results


@pytest.fixture
def studies(tmp_path: Path) -> tuple[str, str]:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(build_results().to_json())
    return str(tmp_path / "one"), str(tmp_path / "two")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("notes.txt", "mine", "holds no results"),
        ("results.json", "{", "cannot be read"),
        ("results.json", '{"schema": "lrladder.results/99"}', "cannot read schema lrladder.results/99"),
        ("results.json", '{"schema": "lrladder.results/1"}', "cannot be read"),
        ("replay.json", '{"schema": "lrladder.replay/1"}', "cannot be read"),
        ("store.sqlite", "not a database", "config.yaml"),
    ],
)
def test_compare_names_the_folder_that_holds_no_results(
    name: str,
    content: str,
    says: str,
    tmp_path: Path,
    studies: tuple[str, str],
    refused: Refusals,
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / name).write_text(content)
    line = refused("compare", studies[0], str(tmp_path / "bad"))
    assert says in line
    assert str(tmp_path / "bad") in line


def test_compare_needs_two_different_folders(tmp_path: Path, studies: tuple[str, str], refused: Refusals) -> None:
    assert "at least two folders" in refused("compare", studies[0])
    assert "is given twice" in refused("compare", studies[0], f"{studies[1]}/../one")
    assert "holds no results" in refused("compare", studies[0], str(tmp_path / "absent"))


def test_compare_writes_over_no_page_but_its_own(
    tmp_path: Path,
    studies: tuple[str, str],
    refused: Refusals,
) -> None:
    (tmp_path / "index.html").write_text("mine")
    assert "was not written by `lrladder compare`" in refused("compare", *studies, "--out", str(tmp_path))
    assert (tmp_path / "index.html").read_text() == "mine"


def test_index_of_nothing_and_over_someone_elses_page(
    tmp_path: Path, studies: tuple[str, str], refused: Refusals
) -> None:
    (tmp_path / "empty").mkdir()
    assert "no results below" in refused("index", str(tmp_path / "empty"))
    assert "is not a folder" in refused("index", str(tmp_path / "absent"))
    (tmp_path / "index.html").write_text("mine")
    assert "was not written by `lrladder index`" in refused("index", str(tmp_path))
    assert (tmp_path / "index.html").read_text() == "mine"


def test_pdf_without_a_browser_names_the_remedy(
    studies: tuple[str, str], refused: Refusals, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "install Chromium" in refused("report", studies[0], "--pdf")


def test_unknown_logger_is_refused_before_anything_is_written(
    tmp_path: Path, refused: Refusals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LRLADDER_LOG", "")
    assert "'clearml' is not a logger" in refused("run", "smoke", "--out", str(tmp_path / "out"), "--log", "clearml")
    assert "is simulated" in refused("run", "moe12b", "--out", str(tmp_path / "out"), "--log", "wandb")
    assert not (tmp_path / "out").exists()


def test_status_is_of_studies(tmp_path: Path, refused: Refusals) -> None:
    (tmp_path / "results.json").write_text('{"schema": "lrladder.fit/1"}')
    assert "cannot be read" in refused("status", str(tmp_path))


def test_recommend_of_nothing_says_what_it_takes(tmp_path: Path, refused: Refusals) -> None:
    assert "no such folder; give OUT of `lrladder fit` or of a study" in refused("recommend", str(tmp_path / "nosuch"))
