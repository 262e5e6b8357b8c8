"""The layout of results.json: one reading a line between a head and a tail, so that it can be read piece by piece.

A file of any other layout, such as that of an older version, is read as a whole, and may be smaller by a factor of 8.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from lrladder.benchmark.reading import (
    CONFIG_BYTES,
    RESULTS_BYTES,
    TooLarge,
    open_for_reading,
    parse_json,
    read_text,
)
from lrladder.benchmark.studies.results import StudyResults
from lrladder.paradigms.lab import Measurement

START_BYTES = 32 * 2**20  # read from the start; assumption: 256 rungs and the addresses of 200,000 logged trials
FIRST_BYTES = 2**16  # read first; assumption: most heads are shorter
END_BYTES = 4 * CONFIG_BYTES  # read from the end: config, corpus and environment follow the readings
START, END = b'\n  "measurements": [', b'\n  ],\n  "config": {'  # as `StudyResults.to_json` writes them
MOST_BYTES = 2**30  # of a file of this layout; assumption: 400,000 readings of 2.5 KB
# Metrics of all readings, which bound the memory (100 bytes each) as RESULTS_BYTES does it for other files; assumption:
# 400,000 readings of 60
MOST_METRICS = 24_000_000
LONGEST = 2**20  # bytes of one reading; assumption: 10,000 metrics
PIECE = 256  # readings that are parsed at a time, with one copy of each key
Results = TypeVar("Results", bound=StudyResults)


class Laid(NamedTuple):
    """A file of this layout: the document without readings, and the bytes between which its readings are."""

    document: dict[str, Any]
    start: int
    end: int


def laid_out(path: Path) -> Laid | None:
    """The head and the tail of a file; None if its layout is another one. Raises OSError, ValueError."""
    with open_for_reading(path) as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(FIRST_BYTES)
        if START not in head:
            head += file.read(START_BYTES - FIRST_BYTES)
        file.seek(max(0, size - END_BYTES))
        tail = file.read()
    before, start, _ = head.partition(START)
    _, end, after = tail.rpartition(END)
    if not (start and end):
        return None
    if size > MOST_BYTES:
        raise TooLarge(f"larger than {MOST_BYTES >> 20:,} MiB, the most that is read of results")
    text = (before + start + end + after).decode("utf-8", errors="replace")
    document = parse_json(text)
    place = len(before) + len(start)
    return Laid(document, place, size - len(end) - len(after)) if isinstance(document, dict) else None


def read_whole(path: Path) -> Any:
    """The document in a file of any layout."""
    return parse_json(read_text(path, RESULTS_BYTES))


def read_results(path: Path, model: type[Results]) -> Results:
    """The results in a file of this or an earlier version. Raises OSError, ValueError."""
    laid = laid_out(path)
    if laid is None or laid.document.get("schema") != model.model_fields["schema_"].default:
        return model.from_json(read_text(path, RESULTS_BYTES))
    measured: list[Measurement] = []
    metrics = 0
    for piece in pieces(path, laid):
        measured += map(Measurement.model_validate, piece)
        metrics += sum(len(m.metrics) for m in measured[-len(piece) :])
        if metrics > MOST_METRICS:
            raise TooLarge(f"more than {MOST_METRICS:,} metrics, the most that are read")
    document = {key: value for key, value in laid.document.items() if key != "schema"}
    return model.model_validate({**document, "measurements": measured})


def pieces(path: Path, laid: Laid) -> Iterator[list[Any]]:
    """The readings, not validated, in lists of PIECE at most."""
    with open_for_reading(path) as file:
        file.seek(laid.start)
        whole: list[bytes] = []
        for reading in _readings(file, laid.end):
            whole.append(reading)
            if len(whole) == PIECE:
                yield _parsed(whole)
                whole = []
        if whole:
            yield _parsed(whole)


def _readings(file: Any, end: int) -> Iterator[bytes]:
    """The text of each reading: a line, or, as written until November 2026, the lines between two braces."""
    part: list[bytes] = []
    size, left = 0, end - file.tell()
    while left > 0 and (line := file.readline(min(LONGEST, left))):
        part.append(line)
        size, left = size + len(line), left - len(line)
        if size >= LONGEST:
            raise TooLarge("a reading is longer than any reading should be")
        text = line.strip().removesuffix(b",")
        if line.startswith(b"    }") or (line.startswith(b"    {") and text.endswith(b"}")):
            yield b"".join(part).strip().removesuffix(b",")
            part, size = [], 0
    if b"".join(part).strip():
        raise ValueError("the readings do not end as they should")


def _parsed(readings: Iterable[bytes]) -> list[Any]:
    found: list[Any] = parse_json((b"[" + b",".join(readings) + b"]").decode("utf-8"))
    return found
