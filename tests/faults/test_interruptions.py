"""Commands that are cut off at any moment, and clocks that go back: the same command then ends as if undisturbed."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from lrladder.benchmark.folders import write_text
from tests.faults.in_process import command, stand_in
from tests.faults.power import PowerCut, cut_power

LONGER = "65536"  # tokens, twice the longest horizon of preset smoke


def found(folder: Path) -> Any:
    """What the study says, without how long it took or what the last call did."""
    data = json.loads((folder / "results.json").read_text())
    return {name: data[name] for name in ("measurements", "targets", "missing", "config", "complete", "law")}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study. Tests take copies of it."""
    folder = tmp_path_factory.mktemp("studies")
    with pytest.MonkeyPatch.context() as patch:
        stand_in(patch, folder)
        assert command(patch, "run", "smoke", "--out", str(folder / "whole")) == 0
    return folder / "whole"


@pytest.fixture
def copy(study: Path, tmp_path: Path) -> Path:
    return shutil.copytree(study, tmp_path / "copy")


@pytest.fixture(scope="module")
def extended(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What an undisturbed extension of the study finds."""
    folder = tmp_path_factory.mktemp("extended")
    copied = shutil.copytree(study, folder / "copy")
    with pytest.MonkeyPatch.context() as patch:
        stand_in(patch, folder)
        assert command(patch, "extend", str(copied), "--tokens", LONGER) == 0
    return found(copied)


@pytest.mark.parametrize("after", [1, 4, 8])
def test_an_extension_that_is_cut_off_loses_nothing_and_can_be_repeated(
    after: int, copy: Path, extended: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = found(copy)
    trained = stand_in(monkeypatch, tmp_path)
    with monkeypatch.context() as patch:
        lose = cut_power(patch, after)
        patch.setattr("sys.argv", ["lrladder", "extend", str(copy), "--tokens", LONGER])
        with pytest.raises(PowerCut):
            command(patch, "extend", str(copy), "--tokens", LONGER)
    lose()
    assert found(copy) == before
    trained.clear()
    assert command(monkeypatch, "extend", str(copy), "--tokens", LONGER) == 0
    assert found(copy) == extended
    [kept] = copy.glob("results-*.json")
    assert json.loads(kept.read_text())["measurements"] == before["measurements"]


@pytest.mark.parametrize("after", [1])
def test_a_report_that_is_cut_off_leaves_the_old_page_or_the_new_one(
    after: int, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = copy / "report" / "index.html"
    whole = page.read_bytes()
    page.write_bytes(whole.replace(b"</html>", b"<!-- the old one --></html>"))
    pages = {whole, page.read_bytes()}
    with monkeypatch.context() as patch:
        lose = cut_power(patch, after)
        with pytest.raises(PowerCut):
            command(patch, "report", str(copy))
    lose()
    assert page.read_bytes() in pages
    assert command(monkeypatch, "report", str(copy)) == 0
    assert page.read_bytes() == whole


@pytest.mark.parametrize("after", range(4))
def test_a_file_of_ours_is_the_old_or_the_new_one_after_a_power_cut(after: int, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    write_text(path, "old")
    with pytest.MonkeyPatch.context() as patch:
        lose = cut_power(patch, after)
        if after < 3:
            with pytest.raises(PowerCut):
                write_text(path, "new")
        else:
            write_text(path, "new")
    lose()
    assert path.read_text() == ("new" if after >= 2 else "old")


@pytest.mark.parametrize("time", [0, 2**32], ids=["1970", "2106"])
def test_a_clock_that_was_set_back_or_forth_changes_no_study(
    time: int, copy: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All that was written before seems to be of another time."""
    before = found(copy)
    for path in [*copy.rglob("*"), copy]:
        os.utime(path, (time, time))
    trained = stand_in(monkeypatch, tmp_path)
    capsys.readouterr()
    assert not command(monkeypatch, "status", str(copy), "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["complete"], told["failed"], told["running"]) == (True, 0, [])
    assert command(monkeypatch, "run", "smoke", "--out", str(copy)) == 0
    assert found(copy) == before and trained == []
