"""The wheel as a user installs it: beside packages of the names that our source folders have."""

import os
import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT

PARTS = ("pyproject.toml", "README.md", "LICENSE", "lrladder", "benchmark", "models", "paradigms", "reports")


def test_an_installed_wheel_plans_beside_foreign_packages_of_our_folders_names(tmp_path: Path) -> None:
    source, site, elsewhere = tmp_path / "source", tmp_path / "site", tmp_path / "elsewhere"
    source.mkdir()
    for part in PARTS:  # a copy, as building leaves files beside the sources
        subprocess.run(["cp", "-a", str(ROOT / part), str(source)], check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    wheel = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(source)]
    subprocess.run(wheel, check=True, capture_output=True)
    (built,) = tmp_path.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(site), str(built)], check=True, capture_output=True)
    assert {entry.name for entry in site.iterdir() if entry.is_dir() and entry.suffix != ".dist-info"} <= {
        "lrladder",
        "bin",
    }
    for name in ("benchmark", "models", "paradigms", "reports"):
        (elsewhere / name).mkdir(parents=True)
        (elsewhere / name / "__init__.py").write_text("raise RuntimeError('not ours')\n")
    code = "import lrladder; print(lrladder.__file__); from lrladder.benchmark.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "plan", "cpu"],
        cwd=elsewhere,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(site))
    assert "t64x3" in done.stdout
