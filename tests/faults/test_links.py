"""A folder that others can write to may hold links: what they lead to is never written, and that is said."""

import os
from pathlib import Path

import pytest

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import make_folder, write_text
from lrladder.benchmark.lab.lock import lock
from lrladder.benchmark.lab.rows import FILES
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.lab.trial_log import TrialLog
from lrladder.benchmark.studies.session import INNER
from lrladder.reports.pdf import print_page
from tests.benchmark.trials import tiny_trial
from tests.faults.refusals import Refusals


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    file = tmp_path / "theirs"
    file.write_text("theirs")
    return file


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def test_the_lock(theirs: Path, out: Path, refused: Refusals) -> None:
    (out / ".lock").symlink_to(theirs)
    assert f"{out / '.lock'} is a link" in refused("run", "smoke", "--out", str(out))
    assert theirs.read_text() == "theirs"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_lock_that_is_no_file(make: object, out: Path, refused: Refusals) -> None:
    make(out / ".lock")  # type: ignore[operator]
    assert str(out / ".lock") in refused("run", "smoke", "--out", str(out))


@pytest.mark.parametrize("name", INNER)
def test_inner_folders(name: str, tmp_path: Path, out: Path, refused: Refusals) -> None:
    (tmp_path / "elsewhere").mkdir()
    (out / name).symlink_to(tmp_path / "elsewhere")
    assert f"{out / name} is a link or a file" in refused("run", "smoke", "--out", str(out))
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("name", FILES)
def test_files_that_sqlite_opens(name: str, theirs: Path, out: Path) -> None:
    (out / name).symlink_to(theirs)
    with pytest.raises(InputError, match="is a link"):
        Store.reopen(out)
    assert theirs.read_text() == "theirs"


def test_the_log_of_a_trial(theirs: Path, out: Path) -> None:
    trial = tiny_trial()
    (out / "trials").mkdir()
    (out / "trials" / f"{trial.id}.jsonl").symlink_to(theirs)
    with pytest.raises(InputError, match="is a link"):
        TrialLog(out, trial)
    assert theirs.read_text() == "theirs"


@pytest.mark.parametrize("name", ["config.yaml", "results.json"])
@pytest.mark.parametrize("suffix", ["", ".tmp"])
def test_files_that_are_replaced(name: str, suffix: str, theirs: Path, out: Path) -> None:
    """The link itself is replaced; one beside it, where a temporary file once was, is left alone."""
    (out / f"{name}{suffix}").symlink_to(theirs)
    write_text(out / name, "ours")
    assert theirs.read_text() == "theirs"
    assert (out / name).read_text() == "ours" and not (out / name).is_symlink()


def test_a_name_that_is_guessed_is_not_written_through(
    theirs: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda n: "guessed")
    (out / ".lrladder-guessed.tmp").symlink_to(theirs)
    with pytest.raises(FileExistsError):
        write_text(out / "results.json", "ours")
    with pytest.raises(InputError, match="cannot be written"):
        make_folder(out)
    assert theirs.read_text() == "theirs" and (out / ".lrladder-guessed.tmp").is_symlink()


def test_a_printed_page(theirs: Path, out: Path, tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text('#!/bin/sh\nfor a; do case $a in --print-to-pdf=*) echo pdf >"${a#*=}";; esac; done\n')
    browser.chmod(0o755)
    (out / "index.html").write_text("page")
    for name in ("out.pdf", "out.pdf.tmp"):
        (out / name).symlink_to(theirs)
    assert print_page(out / "index.html", str(browser)).read_text() == "pdf\n"
    assert theirs.read_text() == "theirs"


def test_whoever_holds_the_folder_can_still_be_named(out: Path) -> None:
    with lock(out), pytest.raises(InputError, match=rf"pid {os.getpid()}"), lock(out):
        pass
    assert (out / ".lock").read_text() == ""
