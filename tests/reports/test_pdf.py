"""Printing a report: what the browser is told, and one line where there is none or it does not manage."""

import os
from pathlib import Path

import pytest

from lrladder.benchmark.errors import InputError
from lrladder.reports import pdf

PRINTS = """#!/bin/sh
for one in "$@"; do case "$one" in --print-to-pdf=*) printf '%%PDF-' > "${one#*=}";; esac; done
printf '%s\\n' "$@" > "$0.told"
"""


def _browser(folder: Path, script: str, name: str = "google-chrome") -> Path:
    path = folder / name
    path.write_text(script)
    path.chmod(0o755)
    return path


@pytest.fixture
def page(tmp_path: Path) -> Path:
    made = tmp_path / "report" / "index.html"
    made.parent.mkdir()
    made.write_text("<p>")
    return made


def test_any_known_browser_on_the_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert pdf.find_browser() is None
    with pytest.raises(InputError, match="install Chromium"):
        pdf.require_browser()
    browser = _browser(tmp_path, PRINTS)
    assert pdf.require_browser() == str(browser)


@pytest.mark.parametrize("user", [0, 1000])
def test_sandbox_is_given_up_only_as_root(
    user: int, tmp_path: Path, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    browser = _browser(tmp_path, PRINTS)
    made = pdf.print_page(page, str(browser))
    assert made == page.parent / "report.pdf"
    assert made.read_bytes() == b"%PDF-"
    told = Path(f"{browser}.told").read_text().splitlines()
    assert ("--no-sandbox" in told) == (user == 0)
    assert told[-1] == page.as_uri()


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("#!/bin/sh\necho boom >&2; exit 1\n", r"wrote no PDF \(boom\)"),
        ("#!/bin/sh\nexit 0\n", r"wrote no PDF \(it said nothing\)"),
        ("#!/absent/interpreter\n", "cannot be started"),
    ],
)
def test_browser_that_fails_leaves_the_old_pdf(script: str, says: str, tmp_path: Path, page: Path) -> None:
    (page.parent / "report.pdf").write_text("old")
    with pytest.raises(InputError, match=says):
        pdf.print_page(page, str(_browser(tmp_path, script)))
    assert (page.parent / "report.pdf").read_text() == "old"


def test_browser_that_hangs_is_stopped_with_its_children(tmp_path: Path, page: Path) -> None:
    os.mkfifo(tmp_path / "never")  # nobody writes to it, and a child that outlived its parent would hold stderr open
    browser = _browser(tmp_path, f"#!/bin/sh\ncat {tmp_path}/never & cat {tmp_path}/never\n")
    with pytest.raises(InputError, match=r"did not finish in 0\.01 s"):
        pdf.print_page(page, str(browser), timeout=0.01)
