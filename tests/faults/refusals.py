"""What the command says when it refuses."""

import sys

import pytest

from lrladder.benchmark.cli import main


class Refusals:
    """Runs the command in this process and hands back the one line that it refuses with."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys, self._monkeypatch = capsys, monkeypatch

    def __call__(self, *arguments: str) -> str:
        self._monkeypatch.setattr(sys, "argv", ["lrladder", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 2
        lines = self._capsys.readouterr().err.strip().split("\n")
        assert len(lines) == 1, lines
        return lines[0]
