"""The command itself."""

from importlib import metadata

from typer.testing import CliRunner

from lrladder.benchmark.cli import app


def test_version_is_the_installed_packages() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"lrladder {metadata.version('lr-ladder')}\n")
