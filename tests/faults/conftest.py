"""The command, run in this process where it is expected to refuse."""

from pathlib import Path

import pytest

from tests.faults.refusals import Refusals


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Refusals:
    monkeypatch.setenv("LRLADDER_CACHE", str(tmp_path / "cache"))
    return Refusals(capsys, monkeypatch)
