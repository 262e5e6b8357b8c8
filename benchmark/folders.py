"""Folders for results and caches, and atomic replacement of a file."""

import os
import tempfile
from pathlib import Path

from lrladder.benchmark.errors import InputError


def make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=out):
            pass
    except OSError as error:
        raise InputError(f"OUT {out} cannot be written ({error.strerror}); choose another folder") from error


def write_text(path: Path, text: str) -> None:
    """Replace a file atomically, so that an interruption leaves either the old file or the new one."""
    temporary = path.with_suffix(path.suffix + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def cache_folder() -> Path:
    """The folder for tokenized corpora: LRLADDER_CACHE, else the user's cache folder."""
    named = os.environ.get("LRLADDER_CACHE")
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "lrladder"
