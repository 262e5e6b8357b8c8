"""The command itself."""

import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from lrladder.benchmark import commands
from lrladder.benchmark.cli import FILES, app
from lrladder.benchmark.config.text import read_preset

HEAVY = ("torch", "deepspeed", "matplotlib", "pandas", "scipy", "seaborn")  # each takes a second or more to import

FOLDER = Path(str(commands.__file__)).parent


def test_version_is_the_installed_packages() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"lrladder {metadata.version('lr-ladder')}\n")


def test_the_list_of_commands_has_all_of_each_file_in_their_order() -> None:
    parts = {path.stem: import_module(f"lrladder.benchmark.commands.{path.stem}") for path in FOLDER.glob("[a-z]*.py")}
    there = {
        name: tuple(typer.main.get_group(part.app).commands) for name, part in parts.items() if "app" in vars(part)
    }
    assert there == FILES


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (("--version",), (*HEAVY, "numpy", "pydantic", "yaml")),
        (("--help",), (*HEAVY, "numpy")),  # numpy would be a fifth of the time of --help
        (("status", "."), (*HEAVY, *(f"lrladder.benchmark.{room}" for room in ("commands.studies", "studies.drift")))),
    ],
)
def test_what_only_looks_imports_nothing_heavy(
    arguments: tuple[str, ...], unwanted: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text(read_preset("cpu"))
    code = (
        "import sys\nfrom lrladder.benchmark.cli import main\n"
        f"sys.argv = ['lrladder', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        f"print('imported', [name for name in {unwanted!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "imported []"
