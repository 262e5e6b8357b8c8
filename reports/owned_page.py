"""Pages written where users may keep pages of their own: one is only replaced by the command that made it."""

from pathlib import Path

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import HEAD_BYTES
from lrladder.reports.html import write_page

MARK = '<meta name="generator" content="lrladder {}">'


def mark(command: str) -> str:
    return MARK.format(command)


def require_own(folder: Path, command: str) -> None:
    """Raise InputError if folder/index.html is there and this command did not write it."""
    page = folder / "index.html"
    try:
        if page.is_file() and mark(command).encode() not in _head(page):
            raise InputError(f"{page} was not written by `lrladder {command}`; move it, or choose another folder")
    except OSError as error:
        raise InputError(f"{page} cannot be read ({error.strerror}); choose another folder") from error


def _head(page: Path) -> bytes:
    with page.open("rb") as file:
        return file.read(HEAD_BYTES)


def write_own(text: str, folder: Path, command: str) -> Path:
    """Write folder/index.html. Raises InputError for a page of someone else's, which is left alone."""
    require_own(folder, command)
    assert mark(command) in text[:HEAD_BYTES]
    return write_page(text, folder)
