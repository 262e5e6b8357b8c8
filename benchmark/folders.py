"""Folders for results and caches, and how files are written where others may write too.

A file is replaced atomically and never through a link: in a shared folder a link could lead to a file of someone else.
"""

import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NoReturn

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.reading import read_head, why

ANOTHER_CACHE = "name another folder in LRLADDER_CACHE"


def make_folder(out: Path) -> None:
    """Make a folder, unless it exists, and check that it can be written to. Raises InputError if it cannot."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / _temporary_name()
        probe.open("x").close()
        probe.unlink()
    except (OSError, ValueError) as error:
        raise InputError(f"OUT {out} cannot be written ({why(error)}); choose another folder") from error


def make_inner(folder: Path) -> None:
    """Make a folder inside the folder of a study. Raises InputError if there is a link or a file of that name."""
    with suppress(FileExistsError):
        folder.mkdir(exist_ok=True)
    require_inner(folder)


def make_private(folder: Path) -> None:
    """Make a folder that only this user can enter. Raises InputError for one that another user could write to."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({why(error)}); {ANOTHER_CACHE}") from error
    if found.st_uid != os.geteuid():
        raise InputError(f"{folder}: belongs to another user, whose files would be trained on and run; {ANOTHER_CACHE}")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        danger = "other users can write to it, and its files are trained on and run"
        raise InputError(f"{folder}: {danger}; check what it holds and `chmod 700` it, or {ANOTHER_CACHE}")


def require_inner(folder: Path) -> None:
    """Raise InputError if a folder inside the folder of a study is really a link or a file. It may be absent."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InputError(f"{folder} is a link or a file, but must be a folder of the study; remove it")


def write_text(path: Path, text: str) -> None:
    """Replace a file atomically: an interruption or a power cut leaves either the old file or the new one."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Like `write_text`, for bytes. If `path` is a link, the link itself is replaced and not followed."""
    with replace(path) as file:
        file.write(data)


def write_pieces(path: Path, pieces: Iterable[str]) -> None:
    """Like `write_text`, for a text that need never be in memory as a whole."""
    with replace(path) as file:
        for piece in pieces:
            file.write(piece.encode("utf-8"))


@contextmanager
def replace(path: Path) -> Iterator[IO[bytes]]:
    """A context with a temporary file to write to, which replaces `path` atomically at its end.

    After an error `path` is as it was.
    """
    temporary = path.with_name(_temporary_name())
    file = temporary.open("xb")  # x: fails on whatever is there, so nothing is written through a link
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def require_free(folder: Path, option: str) -> None:
    """Raise InputError unless there is nothing at `folder`, or an empty folder, which the user gave by `option`."""
    try:
        is_taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except (OSError, ValueError) as error:
        raise InputError(f"{option} {folder}: cannot be written ({why(error)}); name another folder") from error
    if is_taken:
        raise InputError(f"{option} {folder}: holds something else; name a new folder")


@contextmanager
def new_folder(folder: Path, option: str) -> Iterator[Path]:
    """A context with a temporary folder to fill, which becomes `folder` at its end, so that none is ever half written.

    Raises InputError as `require_free` does, and if the system refuses.
    """
    require_free(folder, option)
    writing = folder.parent / f".{folder.name}-{secrets.token_hex(4)}"
    try:
        writing.mkdir(parents=True)
        yield writing
        writing.rename(folder)
    except OSError as error:
        raise InputError(f"{option} {folder}: cannot be written ({why(error)}); name another folder") from error
    finally:
        shutil.rmtree(writing, ignore_errors=True)


def require_new_or_own(path: Path, option: str, is_own: Callable[[bytes], bool]) -> None:
    """Raise InputError unless `path` is free, or is a file that `is_own` recognises and that may be replaced.

    `is_own` gets the beginning of the file, HEAD_BYTES long. `option` is the option by which the user gave the path.
    """
    where = f"{option} {path}"
    if not path.parent.is_dir():
        raise InputError(f"{where}: {path.parent} is not a folder; make it first")
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise InputError(f"{where}: cannot be written ({why(error)}); name another file") from error
    if stat.S_ISDIR(kind):
        raise InputError(f"{where}: is a folder; name a file in it")
    if not stat.S_ISREG(kind):
        raise InputError(f"{where}: is a link or a device; name a file")
    if not is_own(_head(path)):
        raise InputError(f"{where}: exists and was not written by this command; move it, or name another file")


def _head(path: Path) -> bytes:
    try:
        return read_head(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({why(error)}); name another file") from error


def write_result(path: Path, text: str, option: str) -> None:
    """`write_text` to a path that the user gave by `option`. Raises InputError if the system refuses."""
    try:
        write_text(path, text)
    except OSError as error:
        raise InputError(f"{option} {path}: cannot be written ({why(error)}); name another file") from error


def open_plain(path: Path, flags: int) -> int:
    """A file descriptor of a plain file, created if missing. Raises InputError for a link, a device or a pipe."""
    try:
        # O_NONBLOCK: without it, opening a pipe would wait for its other end
        descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if path.is_symlink():
            _refuse_link(path)
        raise InputError(f"{path} cannot be opened ({why(error)}); choose another folder") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        _refuse_link(path)
    return descriptor


def require_plain(path: Path) -> None:
    """Raise InputError for a link, a device or a folder at `path`. For files that a library opens by their name."""
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(kind):
        _refuse_link(path)


def _refuse_link(path: Path) -> NoReturn:
    raise InputError(f"{path} is a link, a folder or a device, not a plain file; remove it, or choose another folder")


def _temporary_name() -> str:
    return f".lrladder-{secrets.token_hex(8)}.tmp"


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cache_folder() -> Path:
    """The folder for tokenized corpora: LRLADDER_CACHE, else the user's cache folder."""
    named = os.environ.get("LRLADDER_CACHE")
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "lrladder"
