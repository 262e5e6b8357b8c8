"""The wheel as a user installs it: in its own folder, beside packages of the names that our source folders have."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hf.peers import transformers
from tests.paths import ROOT

PARTS = ("pyproject.toml", "README.md", "LICENSE", "lrladder", "benchmark", "models", "paradigms", "reports")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an installed wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    source, site = folder / "source", folder / "site"
    source.mkdir()
    for part in PARTS:  # a copy, as building leaves files beside the sources
        subprocess.run(["cp", "-a", str(ROOT / part), str(source)], check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    wheel = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(source)]
    subprocess.run(wheel, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(site), str(built)], check=True, capture_output=True)
    return site


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder with packages that are called as our source folders and are not ours."""
    for name in ("benchmark", "models", "paradigms", "reports"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('not ours')\n")
    return tmp_path


def python(site: Path, folder: Path, *arguments: str) -> str:
    """What Python prints with the wheel alone, in a folder."""
    environment = os.environ | {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_has_our_packages_alone_and_says_that_they_are_typed(site: Path) -> None:
    folders = {entry.name for entry in site.iterdir() if entry.is_dir() and entry.suffix != ".dist-info"}
    assert folders <= {"lrladder", "bin"}
    assert (site / "lrladder" / "py.typed").is_file()


def test_it_plans(site: Path, elsewhere: Path) -> None:
    code = "import lrladder; print(lrladder.__file__); from lrladder.benchmark.cli import main; main()"
    said = python(site, elsewhere, "-c", code, "plan", "cpu")
    assert said.startswith(str(site))
    assert "t64x3" in said


def test_the_tutorial_runs(site: Path, elsewhere: Path) -> None:
    """From the model to the optimizer, as docs/tutorial.ipynb has it."""
    transformers()
    notebook, cells = ROOT / "docs" / "tutorial.ipynb", ROOT / "tests" / "benchmark" / "api" / "cells.py"
    said = python(site, elsewhere, str(cells), str(notebook))
    assert "mixtral: 6,300,928 active of 11,019,520 parameters" in said
    assert "SIMULATED" in said
    assert "attention_qkv" in said
    assert (elsewhere / "runs" / "rehearsal" / "report" / "index.html").is_file()
