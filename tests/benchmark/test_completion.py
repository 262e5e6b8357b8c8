"""What shells complete, and the examples that `--help` shows."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from lrladder.benchmark.cli import app
from lrladder.benchmark.commands import completion
from lrladder.benchmark.config.text import preset_names
from lrladder.benchmark.own_runs.published_sweeps import SWEEPS
from lrladder.reports.pages import FILES
from tests.benchmark.test_cli import HEAVY

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def asked(shell: str, line: str) -> dict[str, str]:
    """The environment in which a shell asks what completes a line."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)} if shell == "bash" else {}
    return {"_LRLADDER_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": line, **words}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a study, a folder of studies, a config, and what nobody wants."""
    for name in ("runs/cpu", "runs/none", "study", ".hidden", "$(rm x)"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("runs/cpu/results.json", "study/store.sqlite", "smoke2.yaml", "notes.txt", "a b.yaml"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_presets_and_configs(here: Path) -> None:
    assert completion.presets("") == [*preset_names(), "runs/", "smoke2.yaml", "study/"]
    assert completion.presets("smo") == ["smoke", "smoke2.yaml"]


@pytest.mark.parametrize(
    ("incomplete", "found"),
    [
        ("", ["runs/", "study"]),
        ("ru", ["runs/"]),
        ("runs/", ["runs/cpu", "runs/none/"]),
        ("runs/c", ["runs/cpu"]),
        (".h", [".hidden/"]),
        ("nowhere/", []),
    ],
)
def test_study_folders(here: Path, incomplete: str, found: list[str]) -> None:
    assert completion.folders(incomplete) == found


def test_a_path_from_the_root_is_completed(here: Path) -> None:
    assert completion.folders(f"{here}/st") == [f"{here}/study"]


def test_published_sweeps() -> None:
    assert completion.sweeps("") == list(SWEEPS)
    assert completion.sweeps("step") == ["steplaw"]
    assert completion.sweeps("runs.csv") == []  # the shell completes files


def test_folders_with_results_are_those_of_the_reports() -> None:
    assert set(completion.RESULTS) == set(FILES)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("lrladder pl", "plan"),
        ("lrladder run --ou", "--out"),
        ("lrladder run smo", "smoke"),
        ("lrladder run cpu --out x --exec", "--executor"),
        ("lrladder status st", "study"),
        ("lrladder doctor --parametrization gri", "grid"),
        ("lrladder schedule pow", "power"),
        ("lrladder replay open", "openeurollm"),
    ],
)
def test_shells_complete_commands_options_presets_and_folders(here: Path, shell: str, line: str, found: str) -> None:
    action = {"_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = CliRunner().invoke(app, [], prog_name="lrladder", env={**asked(shell, line), **action})
    assert found in done.output.replace('"', " ").split()


def test_completing_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom lrladder.benchmark.cli import main\nsys.argv = ['lrladder']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        f"print('imported', [name for name in {(*HEAVY, 'numpy')!r} if name in sys.modules])"
    )
    environment = os.environ | asked("bash", "lrladder run smo")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["smoke", "imported", "[]"]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_ends_with_an_example_that_it_takes(name: str) -> None:
    command = COMMANDS[name]
    assert command.epilog.startswith(f"Example: lrladder {name} ")
    arguments = shlex.split(command.epilog.partition(" > ")[0])[3:]
    with command.make_context(name, arguments):  # refuses what the command does not take
        pass
    assert command.epilog.removeprefix("Example: ") in " ".join(
        CliRunner().invoke(app, [name, "--help"]).output.split()
    )
