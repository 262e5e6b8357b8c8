"""What a shell completes beside commands and options: presets, study folders and published sweeps.

`lrladder --install-completion` sets it up for bash, zsh or fish. Where nothing is offered, the shell completes files.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from lrladder.benchmark.config.text import preset_names

CONFIGS = (".yaml", ".yml")
RESULTS = ("results.json", "store.sqlite", "replay.json")  # a folder with one of these is a study's, or a fit's
SWEEPS = ("steplaw", "openeurollm")
PLAIN = re.compile(r"[\w@%+=:,./~-]*")  # zsh evaluates what is offered; other names are left to the shell


def presets(incomplete: str) -> list[str]:
    """Presets, and configs and folders as paths."""
    return [*_beginning(incomplete, preset_names()), *_paths(incomplete, _is_config)]


def folders(incomplete: str) -> list[str]:
    """Folders with results, and others on the way to them."""
    return list(_paths(incomplete, _has_results))


def sweeps(incomplete: str) -> list[str]:
    """Published sweeps; nothing where none begins like this, so that the shell completes files."""
    return list(_beginning(incomplete, SWEEPS))


def _beginning(incomplete: str, names: Iterable[str]) -> Iterator[str]:
    return (name for name in names if name.startswith(incomplete))


def _paths(incomplete: str, wanted: Callable[["os.DirEntry[str]"], bool]) -> Iterator[str]:
    """Paths that begin like this: those that are wanted, and other folders with a slash."""
    before, slash, beginning = incomplete.rpartition("/")
    try:
        entries = sorted(os.scandir(before + slash or "."), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        hidden = entry.name.startswith(".") and not beginning.startswith(".")
        if hidden or not entry.name.startswith(beginning) or not PLAIN.fullmatch(entry.name):
            continue
        path = f"{before}{slash}{entry.name}"
        if wanted(entry):
            yield path
        elif entry.is_dir():
            yield f"{path}/"


def _is_config(entry: "os.DirEntry[str]") -> bool:
    return entry.is_file() and entry.name.endswith(CONFIGS)


def _has_results(entry: "os.DirEntry[str]") -> bool:
    return any(Path(entry.path, name).is_file() for name in RESULTS)
