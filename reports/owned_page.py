"""Writes a page to a folder of the user. An index.html there is only replaced if the same command has written it."""

from pathlib import Path

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.reading import HEAD_BYTES, read_head
from lrladder.reports.html import write_page

MARK = '<meta name="generator" content="lrladder {}">'


def mark(command: str) -> str:
    """The meta tag by which a page that `lrladder COMMAND` wrote is recognised."""
    return MARK.format(command)


def require_own(folder: Path, command: str) -> None:
    """Raise InputError if there is a folder/index.html that this command did not write."""
    page = folder / "index.html"
    try:
        if page.is_file() and mark(command).encode() not in read_head(page):
            raise InputError(f"{page} was not written by `lrladder {command}`; move it, or choose another folder")
    except OSError as error:
        raise InputError(f"{page} cannot be read ({error.strerror}); choose another folder") from error


def write_own(text: str, folder: Path, command: str) -> Path:
    """Write folder/index.html. Raises InputError, and changes nothing, if another page is there."""
    require_own(folder, command)
    assert mark(command) in text[:HEAD_BYTES]
    return write_page(text, folder)
