"""Reads files from untrusted sources. Only plain files are read, and only up to a size limit."""

import json
import os
import re
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from lrladder.benchmark.errors import InputError

CONFIG_BYTES = 256 * 2**10  # assumption: the largest preset takes 2 KiB
RESULTS_BYTES = 128 * 2**20  # assumption: 100,000 readings of 1 KB each, as those of the presets
LOG_BYTES = 64 * 2**20  # assumption: the log of one trial, with 100,000 rows of 600 bytes
HEAD_BYTES = 4096  # the beginning of a file, by which its kind is recognised
MAX_WHY = 200  # characters of a reason in an error message; assumption
MAX_INT = 2**63  # what fits 64 bits; products of several still fit a float
# Characters that a terminal obeys: C0 except tab and line feed, DEL, C1, and marks that change the direction of text.
_NO_INTEGERS = frozenset((float, str, bool, type(None)))
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_ESCAPED = re.compile(r"\\u(?:00[01789]|20[26])|\\[bfr]", re.IGNORECASE)  # how JSON may write them


class TooLarge(ValueError):
    """The file is larger than any file of its kind should be."""


@contextmanager
def open_for_reading(path: Path) -> Iterator[BufferedReader]:
    """A context with an open plain file. Raises OSError, or ValueError for a pipe or a device."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("not a plain file")
        yield file


def read_bytes(path: Path, limit: int) -> bytes:
    """The whole file. Raises OSError, or ValueError for a pipe, a device, or more than `limit` bytes."""
    with open_for_reading(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise TooLarge(f"larger than {_size(limit)}, the most that is read of such a file")
    return data


def _size(limit: int) -> str:
    return f"{limit // 2**20:,} MiB" if limit >= 2**20 else f"{limit // 2**10:,} KiB"


def read_text(path: Path, limit: int) -> str:
    """Like `read_bytes`, for UTF-8 text."""
    return read_bytes(path, limit).decode("utf-8")


def read_head(path: Path) -> bytes:
    """The first HEAD_BYTES of a file of any size. Raises the same errors as `read_bytes`."""
    with open_for_reading(path) as file:
        return file.read(HEAD_BYTES)


def parse_json(text: str) -> Any:
    """Parse JSON. Raises ValueError for text that is not JSON, nested too deep, or has integers beyond 64 bits.

    Control characters in strings are escaped, so that no text read here can send commands to a terminal.
    """
    try:
        data = _quickly(text)
        return _printable(data) if _has_control(text) else data
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _quickly(text: str) -> Any:
    """JSON by pydantic's parser, in a third of the time. What it refuses, and what is refused, is up to Python's."""
    with suppress(ValueError, TypeError):  # such as for half a surrogate pair, which Python reads
        data = from_json(text)
        if _fits_64_bits(data):
            return data
    return json.loads(text, parse_int=_int)


def _fits_64_bits(data: Any) -> bool:
    """Whether each integer does."""
    left: list[Collection[Any]] = [[data]]
    while left:
        values = left.pop()
        if _NO_INTEGERS.issuperset(map(type, values)):  # such as the metrics of a reading; there may be millions
            continue
        for value in values:
            kind = type(value)
            if kind is dict:
                left.append(value.values())
            elif kind is list:
                left.append(value)
            elif kind is int and abs(value) > MAX_INT:
                return False
    return True


def _has_control(text: str) -> bool:
    """Whether strings of JSON, which was parsed, have control characters. A file may have hundreds of megabytes.

    No parser of JSON takes C0 as such in a string, so of ASCII only DEL and what is escaped has to be looked for.
    """
    escaped = "\\" in text and _ESCAPED.search(text) is not None
    return escaped or ("\x7f" in text if text.isascii() else _CONTROL.search(text) is not None)


def _int(digits: str) -> int:
    if len(digits) > 20 or abs(value := int(digits)) > MAX_INT:
        raise ValueError(f"integer {digits[:20]}... does not fit 64 bits")
    return value


def _printable(data: Any) -> Any:
    if isinstance(data, str):
        return printable(data)
    if isinstance(data, list):
        return [_printable(value) for value in data]
    if isinstance(data, dict):
        return {printable(key): _printable(value) for key, value in data.items()}
    return data


def printable(text: str) -> str:
    """Text with control characters written as Python escapes them."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def why(error: Exception) -> str:
    """What an error says was wrong with a file, in one short line."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:MAX_WHY]
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())[:MAX_WHY]


@contextmanager
def understood(place: Path) -> Iterator[None]:
    """A context that turns any exception into InputError, for code that uses results from the file `place`.

    A file of someone else may be well-formed and hold senseless values. Which code such a value breaks is not known
    beforehand, and one bad file must not prevent the use of others.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{place} holds results that cannot be used ({type(error).__name__}: {why(error)}); make them again"
        ) from error
