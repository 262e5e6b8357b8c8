"""OUT's disk is full: one line, exit code 3, what was measured is shown, and with room again the study goes on."""

import errno
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.trial_log import TrialLog
from lrladder.benchmark.studies import runner
from tests.faults.in_process import command, stand_in

FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(monkeypatch, tmp_path)


def _run(out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    code = command(monkeypatch, "run", "smoke", "--out", str(out))
    return code, capsys.readouterr().out


def _store_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    write, calls = Store._write, list[Trial]()

    def full(self: Store, trial: Trial, measurements: object) -> None:
        calls.append(trial)
        if len(calls) > 5:
            raise sqlite3.OperationalError("database or disk is full")
        write(self, trial, measurements)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "_write", full)


def _results_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, pieces: Iterable[str]) -> None:
        raise FULL

    monkeypatch.setattr(runner, "write_pieces", full)


def _log_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: TrialLog, row: dict[str, object]) -> None:
        raise FULL

    monkeypatch.setattr(TrialLog, "write", full)


@pytest.mark.parametrize("fill", [_store_is_full, _results_do_not_fit, _log_does_not_fit])
def test_a_full_disk_is_one_line_and_the_study_goes_on(
    fill: Callable[[pytest.MonkeyPatch], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as filled:
        fill(filled)
        code, said = _run(out, monkeypatch, capsys)
    last = said.strip().splitlines()[-1]
    assert code == 3
    assert last.startswith(f"Stopped: {out}") and "Make room" in last
    assert "training runs finished" in said  # what is there is reported
    code, _ = _run(out, monkeypatch, capsys)
    assert code == 0
    assert (out / "results.json").is_file() and (out / "report" / "index.html").is_file()


def test_complete_results_stay_when_the_disk_fills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert _run(out, monkeypatch, capsys)[0] == 0
    before = (out / "results.json").read_text()
    for path in (*out.glob("store.sqlite*"), *(out / "trials").iterdir()):
        path.unlink()
    with monkeypatch.context() as filled:
        _store_is_full(filled)
        code, said = _run(out, monkeypatch, capsys)
    assert code == 3 and "The complete results that were there are kept" in said
    assert (out / "results.json").read_text() == before
