"""Locks the folder of a study, so that one process at a time writes to it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import open_plain


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Lock a study folder. Raises InputError if another process holds the lock. A lock ends with its process."""
    with os.fdopen(open_plain(folder / ".lock", os.O_RDWR | os.O_APPEND), "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise InputError(
                f"{folder} is in use by another lrladder process (pid {file.read().strip() or 'unknown'}); "
                "wait for it or choose another OUT"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)  # tells `status` that the study is not running
