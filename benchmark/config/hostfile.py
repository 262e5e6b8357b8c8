"""Reads a hostfile, in the form that DeepSpeed and MPI know: a line `HOST slots=N` for each machine."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.reading import CONFIG_BYTES, printable, read_text

FORM = "write `HOST slots=N`, such as `node1 slots=8`"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*")  # a name that begins with - would be an option of ssh
_SLOTS = re.compile(r"slots=([1-9][0-9]{0,5})")  # up to 999,999, which no machine has


class Host(NamedTuple):
    """A machine, as ssh calls it, and the number of its devices that trials may use: GPUs, or cores."""

    name: str
    slots: int


Hosts = tuple[Host, ...]


def read_hostfile(path: str) -> Hosts:
    """The machines of a hostfile, in its order. Raises InputError, with the number of the line."""
    try:
        text = read_text(Path(path).expanduser(), CONFIG_BYTES)
    except (OSError, ValueError) as error:
        raise InputError(f"hostfile {path}: cannot be read ({error}); give the path of a readable text file") from error
    found: dict[str, tuple[Host, int]] = {}
    for number, host in _lines(path, text):
        if host.name in found:
            line = found[host.name][1]
            raise InputError(
                f"hostfile {path}, line {number}: {host.name} stands in line {line} already; write all its slots there"
            )
        found[host.name] = host, number
    if not found:
        raise InputError(f"hostfile {path}: names no host; {FORM} in a line for each machine")
    return tuple(host for host, _ in found.values())


def _lines(path: str, text: str) -> Iterator[tuple[int, Host]]:
    """Each host with the number of its line. What follows # is a comment."""
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        where = f"hostfile {path}, line {number}"
        slots = _SLOTS.fullmatch(words[1]) if len(words) == 2 else None
        if slots is None:
            raise InputError(f"{where}: {_said(line)} has no number of slots above 0; {FORM}")
        if not _NAME.fullmatch(words[0]):
            raise InputError(f"{where}: {_said(words[0])} is no name of a host; {FORM}")
        yield number, Host(words[0], int(slots[1]))


def _said(text: str) -> str:
    """A text from the file, for a message."""
    return repr(printable(text.strip())[:60])
