"""Detects folders that another version wrote. No trial is trained into such a folder, so its results do not change."""

import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from lrladder.benchmark import upgrade
from lrladder.benchmark.documents import written_schema
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.trial import SPEC_VERSION
from lrladder.benchmark.reading import LOG_BYTES, open_for_reading, parse_json

STORE_VERSION = 4  # raised when the content of a store changes its meaning
FILES = ("store.sqlite", "store.sqlite-wal")  # the second has the last writes of a killed process


class Writer(NamedTuple):
    """The version that wrote a folder, and the version that this program would write, in words."""

    theirs: str
    ours: str
    is_newer: bool = False


def refuse_older(folder: Path) -> None:
    """Raises InputError for a folder of another version. Call it before anything writes to the folder."""
    writer = _writer(folder)
    if writer is None:
        return
    reason = f"{folder} was written by LR Ladder's {writer.theirs}; this is {writer.ours}"
    if writer.is_newer:
        raise InputError(f"{reason}: install the newer LR Ladder, or start a new folder with --out")
    raise InputError(
        f"{reason}, whose trials have other ids. report, compare, recommend, status and index still read the folder; "
        "start a new folder with --out"
    )


def _writer(folder: Path) -> Writer | None:
    """None for a folder of this version, and for one that does not name its version."""
    if (folder / FILES[0]).is_file():
        return _other("store version", _stored_version(folder), STORE_VERSION)
    if (logged := _logged_version(folder)) is not None:  # the store is gone and would be rebuilt from the logs
        return _other("trial version", logged, SPEC_VERSION)
    schema = written_schema(folder / "results.json") or ""
    return Writer(f"schema {schema}", f"schema {upgrade.schema(schema)}") if upgrade.is_older(schema) else None


def _other(what: str, theirs: int | None, ours: int) -> Writer | None:
    if theirs is None or theirs == ours:
        return None
    return Writer(f"{what} {theirs}", f"version {ours}", is_newer=theirs > ours)


def _stored_version(folder: Path) -> int | None:
    """None if the store does not name its version. A damaged store is refused later, when it is opened.

    This reads a copy, because SQLite writes to a database, and to files beside it, even when it only reads.
    """
    with tempfile.TemporaryDirectory() as copies:
        for name in FILES:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, Path(copies) / name)
        try:
            with closing(sqlite3.connect(Path(copies) / FILES[0])) as db:
                row = db.execute("SELECT value FROM study WHERE key = 'version'").fetchone()
            return int(row[0])
        except (sqlite3.Error, TypeError, ValueError):  # or UnicodeDecodeError, of a message about a damaged schema
            return None


def _logged_version(folder: Path) -> int | None:
    for path in sorted((folder / "trials").glob("*.jsonl")):
        with suppress(OSError, ValueError, LookupError, OverflowError, TypeError), open_for_reading(path) as file:
            line = file.readline(LOG_BYTES).decode("utf-8", errors="replace")
            return int(parse_json(line)["trial"]["spec_version"])
    return None
