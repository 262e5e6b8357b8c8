"""Pages written where users may keep pages of their own: one is only replaced by the command that made it."""

from pathlib import Path

from lrladder.benchmark.errors import InputError
from lrladder.reports.html import write_page

MARK = '<meta name="generator" content="lrladder {}">'
_HEAD = 4096  # characters in which a page of ours carries its mark


def mark(command: str) -> str:
    return MARK.format(command)


def require_own(folder: Path, command: str) -> None:
    """Raise InputError if folder/index.html is there and this command did not write it."""
    page = folder / "index.html"
    try:
        if page.exists() and mark(command) not in page.read_text(encoding="utf-8", errors="replace")[:_HEAD]:
            raise InputError(f"{page} was not written by `lrladder {command}`; move it, or choose another folder")
    except OSError as error:
        raise InputError(f"{page} cannot be read ({error.strerror}); choose another folder") from error


def write_own(text: str, folder: Path, command: str) -> Path:
    """Write folder/index.html. Raises InputError for a page of someone else's, which is left alone."""
    require_own(folder, command)
    assert mark(command) in text[:_HEAD]
    try:
        return write_page(text.encode(errors="replace").decode(), folder)  # a file name need not be text
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror}); choose another folder") from error
