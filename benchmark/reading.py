"""Files from strangers, read within bounds: plain files only, of a size that is known to be enough."""

import json
import os
import stat
from pathlib import Path
from typing import Any

CONFIG_BYTES = 256 * 2**10  # assumption: the largest preset takes 2 KiB
RESULTS_BYTES = 256 * 2**20  # 100,000 trials at 2 KB a reading
LOG_BYTES = 64 * 2**20  # of one trial: 100,000 rows of 600 bytes
HEAD_BYTES = 4096


class TooLarge(ValueError):
    """More than what a file of this kind can need."""


def read_bytes(path: Path, limit: int) -> bytes:
    """The whole file. Raises OSError, or ValueError for a pipe, a device, or more than `limit` bytes."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("not a plain file")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise TooLarge(f"larger than {_size(limit)}, more than such a file can need")
    return data


def _size(limit: int) -> str:
    return f"{limit // 2**20:,} MiB" if limit >= 2**20 else f"{limit // 2**10:,} KiB"


def read_text(path: Path, limit: int) -> str:
    """As `read_bytes`, of UTF-8."""
    return read_bytes(path, limit).decode("utf-8")


def read_head(path: Path) -> bytes:
    """The first HEAD_BYTES of a file of any size. Raises as `read_bytes`."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("not a plain file")
        return file.read(HEAD_BYTES)


def parse_json(text: str) -> Any:
    """Raises ValueError for what is not JSON, brackets nested without end included."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
