"""A power cut, simulated: writing ends at some call, and what was not synced to the disk is lost."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest


class PowerCut(BaseException):
    """No code catches it, as none runs after a power cut; files that `finally` removes are lost either way."""


def cut_power(patch: pytest.MonkeyPatch, after: int) -> Callable[[], None]:
    """End at the given call of fsync or replace. The function that is returned empties files that were not synced.

    No file may be renamed before it is synced.
    """
    calls, synced, written = iter(range(after)), set[int](), list[Path]()
    real_sync, real_replace = os.fsync, os.replace

    def count() -> None:
        if next(calls, None) is None:
            raise PowerCut

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").resolve()
        written.append(path)
        count()
        real_sync(descriptor)
        synced.add(path.stat().st_ino)

    def replace(old: Path, new: Path) -> None:
        count()
        assert Path(old).stat().st_ino in synced, "renamed before it was on disk"
        real_replace(old, new)

    def lose() -> None:
        for path in written:
            if path.is_file() and path.stat().st_ino not in synced:
                path.write_bytes(b"")

    patch.setattr(os, "fsync", fsync)
    patch.setattr(os, "replace", replace)
    return lose
