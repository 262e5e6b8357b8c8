"""Readers: the documents of one source in a fixed order, from any place on. pyarrow reads the records."""

import io
import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy.typing as npt

from lrladder.benchmark.config.corpus import SourceKeys
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.reading import why
from lrladder.benchmark.training.files import named, read_text, stable_hash, stat_of
from lrladder.benchmark.training.text.extras import library
from lrladder.benchmark.training.text.looks import COMPRESSED, kind_of

Ids = npt.NDArray[Any]
ROWS = 1024  # of Parquet, taken at once
BLOCK = 64 << 20  # bytes of JSON lines parsed at once; a longer line is refused


class Place(NamedTuple):
    """Where a reader stands: a file, and how many of its documents were read."""

    file: int = 0
    row: int = 0


class Document(NamedTuple):
    """One document, and the place after it. `held_out`: whether its source says on which side it is."""

    after: Place
    content: str | Ids | None  # None: empty
    held_out: bool | None = None


class Reader(Protocol):
    """The documents of one source. `listing` decides them and names the cache entry; `num_bytes` may be unknown."""

    @property
    def listing(self) -> list[Any]: ...

    @property
    def num_bytes(self) -> int | None: ...

    def read(self, start: Place) -> Iterator[Document]: ...


@dataclass(frozen=True)
class TextDocuments:
    """Files of text, a document each, and of records. They are ordered by the hash of their names."""

    files: tuple[tuple[str, Path], ...]
    config: SourceKeys

    @classmethod
    def find(cls, paths: list[Path], config: SourceKeys) -> "TextDocuments":
        return cls(tuple(sorted(named(paths), key=lambda file: stable_hash("sample", file[0]))), config)

    @property
    def listing(self) -> list[Any]:
        stats = [stat_of(path) for _, path in self.files]
        files = [(*file, now.st_size, now.st_mtime_ns) for file, now in zip(self.files, stats, strict=True)]
        return [self.config.column, self.config.format, [(name, str(path), *rest) for name, path, *rest in files]]

    @property
    def num_bytes(self) -> int | None:
        packed = any(path.suffix in (*COMPRESSED, ".parquet") for _, path in self.files)
        return None if packed else sum(stat_of(path).st_size for _, path in self.files)

    def read(self, start: Place) -> Iterator[Document]:
        for index, (_, path) in enumerate(self.files[start.file :], start.file):
            skip = start.row if index == start.file else 0
            for row, text in enumerate(itertools.islice(self._texts(path), skip, None), skip):
                where = f"{path}: record {row + 1}"
                yield Document(Place(index, row + 1), checked(text, where, self.config.column))

    def _texts(self, path: Path) -> Iterator[Any]:
        kind = kind_of(path, self.config.format)
        if kind == "text":
            yield _whole(path) if path.suffix in COMPRESSED else read_text(path)
            return
        pyarrow = library("pyarrow", "data", f"{path}: {kind}")
        batches = {"jsonl": _json_lines, "parquet": _parquet, "arrow": _arrow}[kind]
        try:
            for batch in batches(path, self.config.column):
                yield from batch.column(self.config.column).to_pylist()
        except (pyarrow.ArrowException, OSError, ValueError, KeyError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: {_of_arrow(error, kind, self.config.column)}") from error


def checked(text: Any, where: str, column: str) -> str | None:
    """The text of a record, None if it is empty. Raises InputError if it is no text."""
    if text is None or text == "":
        return None
    if isinstance(text, str):
        return text
    raise InputError(f"{where}: {column} holds {type(text).__name__}, not text; set corpus.column to a field of text")


def _whole(path: Path) -> str:
    """A compressed text file."""
    pyarrow = library("pyarrow", "data", f"{path}: a compressed file")
    try:
        with pyarrow.input_stream(str(path), compression="detect") as stream:
            return str(stream.read().decode("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({why(error)}); write it again, or leave it out") from error


def _json_lines(path: Path, column: str) -> Iterable[Any]:
    """Only the field `column` is parsed, so other fields may change their type from line to line."""
    pyarrow, parser = library("pyarrow", "data", str(path)), library("pyarrow.json", "data", str(path))
    if not stat_of(path).st_size:
        return []
    _require_field(path, column)
    return parser.open_json(
        pyarrow.input_stream(str(path), compression="detect"),
        read_options=parser.ReadOptions(block_size=BLOCK),
        parse_options=parser.ParseOptions(
            explicit_schema=pyarrow.schema([(column, pyarrow.large_string())]), unexpected_field_behavior="ignore"
        ),
    )


def _require_field(path: Path, column: str) -> None:
    """Raise InputError if the first record lacks the field, as the parser would take it for empty."""
    pyarrow = library("pyarrow", "data", str(path))
    with pyarrow.input_stream(str(path), compression="detect") as stream:
        first = io.BufferedReader(stream).readline(BLOCK)
    try:
        record = json.loads(first)
    except (ValueError, RecursionError):
        return  # the parser says what is wrong, or the record stands on several lines
    if isinstance(record, dict):
        require_column(path, column, list(record))


def require_column(place: Path | str, column: str, fields: list[str]) -> None:
    """Raises InputError that lists the fields, if `column` is none of them."""
    if column not in fields:
        listed = ", ".join(fields[:12]) or "none"
        raise InputError(f"{place}: no field {column}; it has {listed}: set corpus.column to the one that holds text")


def _parquet(path: Path, column: str) -> Iterable[Any]:
    file = library("pyarrow.parquet", "data", str(path)).ParquetFile(str(path))
    require_column(path, column, file.schema_arrow.names)
    return file.iter_batches(batch_size=ROWS, columns=[column])


def _arrow(path: Path, column: str) -> Iterable[Any]:
    """A file of Arrow's IPC format, or a stream of it, as datasets writes them."""
    pyarrow = library("pyarrow", "data", str(path))
    with path.open("rb") as file:
        is_file = file.read(6) == b"ARROW1"
    stream = pyarrow.memory_map(str(path))
    if not is_file:
        reader = pyarrow.ipc.open_stream(stream)
        require_column(path, column, reader.schema.names)
        return reader
    reader = pyarrow.ipc.open_file(stream)
    require_column(path, column, reader.schema.names)
    return (reader.get_batch(index) for index in range(reader.num_record_batches))


def _of_arrow(error: Exception, kind: str, column: str) -> str:
    """Arrow's message in our words, with what to do."""
    said = why(error)
    if "straddling" in said:
        return f"a record is longer than {BLOCK >> 20} MiB; split it"
    if "from object to array" in said:
        return "looks like one JSON array, not JSON lines; write one object a line, `jq -c '.[]'` does"
    if f"Column(/{column}) changed" in said:
        return f"{column} holds another type than text ({said}); set corpus.column to a field of text"
    return f"cannot be read as {kind} ({said}); correct it, or set corpus.format to what it is"
