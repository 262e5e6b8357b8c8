"""Copies of checkpoints at an fsspec URL, such as s3://bucket/folder, for machines that share no folder."""

from pathlib import Path
from typing import Any, Protocol

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import make_inner, replace


class Copy(Protocol):
    """The copies of the files of one folder, by their names."""

    def pull(self, name: str) -> None:
        """Bring the file in the folder to the state of the copy; without a copy the file is removed."""
        ...

    def push(self, name: str) -> None:
        """Replace the copy by the file in the folder. Raises OSError."""
        ...

    def remove(self, name: str) -> None:
        """Remove the copy if there is one."""
        ...


class NoCopy:
    """The files in the folder are the only ones."""

    def pull(self, name: str) -> None: ...

    def push(self, name: str) -> None: ...

    def remove(self, name: str) -> None: ...


class UrlCopy:
    """Copies below a URL. An object store replaces a file as a whole; elsewhere the digests find half a file."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder, (self._files, self._root) = folder, opened(url)

    def pull(self, name: str) -> None:
        make_inner(self._folder)
        try:
            with self._files.open(f"{self._root}/{name}", "rb") as theirs, replace(self._folder / name) as own:
                while chunk := theirs.read(CHUNK):
                    own.write(chunk)
        except FileNotFoundError:
            (self._folder / name).unlink(missing_ok=True)

    def push(self, name: str) -> None:
        self._files.makedirs(self._root, exist_ok=True)
        self._files.put_file(str(self._folder / name), f"{self._root}/{name}")

    def remove(self, name: str) -> None:
        if self._files.exists(f"{self._root}/{name}"):
            self._files.rm_file(f"{self._root}/{name}")


CHUNK = 2**23  # bytes that are copied at a time; assumption


def opened(url: str) -> tuple[Any, str]:
    """The file system of a URL and the path in it. Raises InputError if a package for it is missing."""
    try:
        import fsspec

        files, root = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise InputError(f"executor.checkpoints: {url}: {error}; give a folder, or install what is missing") from error
    files.invalidate_cache()
    return files, root.rstrip("/")


def copy_of(folder: Path, url: str | None) -> Copy:
    """The copies of a folder at a URL, or none."""
    return NoCopy() if url is None else UrlCopy(folder, url)
