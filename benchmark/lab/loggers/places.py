"""Where each trial was logged: DIR/logged.jsonl, one JSON object per line, to which workers append."""

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from lrladder.benchmark.folders import open_plain
from lrladder.benchmark.reading import LOG_BYTES, parse_json, read_bytes

FILE = "logged.jsonl"
Places = dict[str, dict[str, str]]  # the address by the name of the logger, by the id of the trial

_PLAIN_PATH = re.compile(r"[\w@+.-]+(/[\w@+.-]+)*")  # no scheme, no way to the root


def note_place(folder: Path, trial_id: str, name: str, address: str) -> None:
    """Append where a logger logs a trial."""
    row = json.dumps({"trial": trial_id, "logger": name, "address": address}) + "\n"
    with os.fdopen(open_plain(folder / FILE, os.O_WRONLY | os.O_APPEND), "a", encoding="utf-8") as file:
        file.write(row)


def read_places(folder: Path) -> Places:
    """Where the trials of a study were logged, the last place of each logger. Damaged lines are skipped."""
    found: Places = {}
    with suppress(OSError, ValueError):
        for line in read_bytes(folder / FILE, LOG_BYTES).decode(errors="replace").splitlines():
            with suppress(LookupError, TypeError, ValueError, RecursionError):
                row = parse_json(line)
                found.setdefault(str(row["trial"]), {})[str(row["logger"])] = str(row["address"])
    return found


def link(address: str) -> str | None:
    """What a page inside the folder `report` of a study may link to: a page of the web, or a file of the study.

    None for all else, such as a script or a path that leaves the folder.
    """
    with suppress(ValueError):
        if urlsplit(address).scheme in ("http", "https") and urlsplit(address).hostname:
            return address
    if _PLAIN_PATH.fullmatch(address) and ".." not in address.split("/"):
        return f"../{address}"
    return None
