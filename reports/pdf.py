"""Prints a page as PDF, with the Chromium that is installed on the machine."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import write_bytes
from lrladder.benchmark.reading import why

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TIMEOUT = 120.0  # seconds; a report takes two seconds
_FLAGS = ("--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-pdf-header-footer")


def find_browser() -> str | None:
    """The path of the browser; None if there is none."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def require_browser() -> str:
    """The path of the browser. Raises InputError if there is none."""
    browser = find_browser()
    if browser is None:
        raise InputError(
            f"--pdf: no browser on PATH ({', '.join(BROWSERS)}): install Chromium, or print the page by hand"
        )
    return browser


def print_page(page: Path, browser: str, *, timeout: float = TIMEOUT) -> Path:
    """Write the PDF of a page beside it, named like its folder. Returns its path. Raises InputError on failure."""
    target = page.parent / f"{page.parent.name}.pdf"
    with tempfile.TemporaryDirectory(prefix="lrladder-pdf-", ignore_cleanup_errors=True) as scratch:
        printed = Path(scratch, "page.pdf")
        command = [browser, *_FLAGS, f"--user-data-dir={scratch}/profile", f"--print-to-pdf={printed}"]
        if os.geteuid() == 0:  # Chromium refuses its sandbox to root
            command.append("--no-sandbox")
        said = _run([*command, page.resolve().as_uri()], timeout)
        if not printed.is_file() or not printed.stat().st_size:
            raise InputError(f"--pdf: {browser} wrote no PDF ({said or 'it said nothing'}); the page is {page}")
        try:
            write_bytes(target, printed.read_bytes())
        except OSError as error:
            raise InputError(f"--pdf: {target} cannot be written ({why(error)})") from error
    return target


def _run(command: list[str], timeout: float) -> str:
    """Run the browser; returns the last line that it wrote to stderr. It is killed with its children at `timeout`."""
    try:
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise InputError(f"--pdf: {command[0]} cannot be started ({error.strerror})") from error
    try:
        _, said = process.communicate(timeout=timeout)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise InputError(f"--pdf: {command[0]} did not finish in {timeout:g} s; print the page yourself") from error
        raise
    return (said.strip().splitlines() or [""])[-1]
