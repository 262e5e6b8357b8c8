"""Whatever --out names: a new file, our own file replaced in one step, or one line and the file as it was."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lrladder.benchmark import folders
from lrladder.benchmark.cli import main
from lrladder.benchmark.errors import InputError
from tests.benchmark.own_runs.run_tables import save, table
from tests.faults.refusals import Refusals
from tests.reports.synthetic import build_results

SCHEDULE = ("schedule", "wsd", "--tokens", "1e6", "--batch-tokens", "1000", "--lr", "0.01", "--out")


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["lrladder", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (0, None)


def _folder(path: Path) -> None:
    path.mkdir()


def _link(path: Path) -> None:
    path.with_name("theirs").write_text("theirs")
    path.symlink_to("theirs")


def _dangling(path: Path) -> None:
    path.symlink_to("absent")


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _theirs(path: Path) -> None:
    path.write_text("theirs")


STANDING = [_folder, _link, _dangling, _pipe, _theirs]


def _state(folder: Path) -> dict[str, object]:
    return {
        entry.name: (entry.lstat().st_mode, entry.read_bytes() if entry.is_file() else None)
        for entry in folder.iterdir()
    }


@pytest.mark.parametrize("stand", STANDING)
def test_schedule_replaces_nothing_of_anyone_elses(
    stand: Callable[[Path], None], tmp_path: Path, refused: Refusals
) -> None:
    stand(tmp_path / "out.svg")
    before = _state(tmp_path)
    assert "--out" in refused(*SCHEDULE, str(tmp_path / "out.svg"))
    assert _state(tmp_path) == before


def test_schedule_without_a_folder_and_to_a_device(tmp_path: Path, refused: Refusals) -> None:
    assert "make it first" in refused(*SCHEDULE, str(tmp_path / "absent" / "out.svg"))
    assert "a link or a device" in refused(*SCHEDULE, "/dev/null")
    (tmp_path / "file").write_text("theirs")
    assert "is not a folder" in refused(*SCHEDULE, str(tmp_path / "file" / "out.svg"))
    assert "cannot be written" in refused(*SCHEDULE, str(tmp_path / ("x" * 300)))


def test_schedule_writes_and_replaces_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        _run(monkeypatch, *SCHEDULE, str(tmp_path / "out.svg"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.svg"]
    assert (tmp_path / "out.svg").read_text().startswith("<svg")


@pytest.mark.parametrize("stand", STANDING)
@pytest.mark.parametrize("name", ["replay.json", "replay.csv"])
def test_replay_replaces_nothing_of_anyone_elses(
    stand: Callable[[Path], None], name: str, tmp_path: Path, refused: Refusals
) -> None:
    runs = save(table(), tmp_path / "runs.csv")
    (tmp_path / "out").mkdir()
    stand(tmp_path / "out" / name)
    before = _state(tmp_path / "out")
    assert name in refused("replay", str(runs), "--out", str(tmp_path / "out"))
    assert _state(tmp_path / "out") == before


@pytest.mark.parametrize("stand", STANDING)
def test_a_report_replaces_no_page_but_ours(stand: Callable[[Path], None], tmp_path: Path, refused: Refusals) -> None:
    (tmp_path / "results.json").write_text(build_results().to_json())
    (tmp_path / "report").mkdir()
    stand(tmp_path / "report" / "index.html")
    before = _state(tmp_path / "report")
    assert "index.html" in refused("report", str(tmp_path))
    assert _state(tmp_path / "report") == before


def test_a_report_is_not_written_through_a_link(tmp_path: Path, refused: Refusals) -> None:
    (tmp_path / "results.json").write_text(build_results().to_json())
    (tmp_path / "site").mkdir()
    (tmp_path / "report").symlink_to("site")
    assert "is a link" in refused("report", str(tmp_path))
    assert list((tmp_path / "site").iterdir()) == []


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_half_way_leaves_the_old_file_and_no_other(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    folders.write_text(tmp_path / "file", "old")
    monkeypatch.setattr(os, step, fail)
    with pytest.raises(InputError, match=r"--out .*file: cannot be written \(No space left on device\)"):
        folders.write_result(tmp_path / "file", "new", "--out")
    assert _state(tmp_path) == {"file": ((tmp_path / "file").lstat().st_mode, b"old")}


def test_a_file_is_on_the_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order that a power cut needs: data, then name, then folder."""
    calls: list[str] = []
    kept = {name: getattr(os, name) for name in ("fsync", "replace")}
    for name, call in kept.items():
        monkeypatch.setattr(os, name, lambda *a, name=name, call=call: (calls.append(name), call(*a))[1])
    folders.write_text(tmp_path / "file", "text")
    assert calls == ["fsync", "replace", "fsync"]
