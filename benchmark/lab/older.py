"""Folders that another version wrote: no trial is trained into one, so that its results stay what they are."""

import json
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from lrladder.benchmark import upgrade
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.trial import SPEC_VERSION

STORE_VERSION = 4  # raised with the meaning of what a store holds
FILES = ("store.sqlite", "store.sqlite-wal")  # the second holds what a killed process wrote last


class Writer(NamedTuple):
    """What wrote a folder, in words, and what this version would write."""

    theirs: str
    ours: str
    is_newer: bool = False


def refuse_older(folder: Path) -> None:
    """Raises InputError for a folder of another version. Nothing in it is touched, so this comes before all else."""
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
    """None for a folder of this version, or one that does not say."""
    if (folder / FILES[0]).is_file():
        return _other("store version", _stored_version(folder), STORE_VERSION)
    if (logged := _logged_version(folder)) is not None:  # the store was moved away, and would be rebuilt from these
        return _other("trial version", logged, SPEC_VERSION)
    schema = _schema(folder)
    return Writer(f"schema {schema}", f"schema {upgrade.schema(schema)}") if upgrade.is_older(schema) else None


def _other(what: str, theirs: int | None, ours: int) -> Writer | None:
    if theirs is None or theirs == ours:
        return None
    return Writer(f"{what} {theirs}", f"version {ours}", is_newer=theirs > ours)


def _stored_version(folder: Path) -> int | None:
    """None where the store does not say: a damaged one is refused where it is opened.

    A copy is asked, as SQLite writes beside and into a database that it only reads.
    """
    with tempfile.TemporaryDirectory() as copies:
        for name in FILES:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, Path(copies) / name)
        try:
            with closing(sqlite3.connect(Path(copies) / FILES[0])) as db:
                row = db.execute("SELECT value FROM study WHERE key = 'version'").fetchone()
            return int(row[0])
        except (sqlite3.Error, TypeError, ValueError):
            return None


def _logged_version(folder: Path) -> int | None:
    for path in sorted((folder / "trials").glob("*.jsonl")):
        with path.open(encoding="utf-8", errors="replace") as file:
            try:
                return int(json.loads(file.readline())["trial"]["spec_version"])
            except (ValueError, KeyError, TypeError):
                continue
    return None


def _schema(folder: Path) -> str:
    try:
        data = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(data.get("schema")) if isinstance(data, dict) else ""
