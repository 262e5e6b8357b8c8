"""The files of a corpus: found by pattern, read, hashed, and listed for the name of a cache entry."""

import glob
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.training.text import looks

FORMAT = 2  # of a cache entry; raise it if the same input would give other tokens or another manifest
CHUNK = 1 << 22  # tokens of a token file checked at once


def expand(patterns: Iterable[str], key: str) -> list[Path]:
    """Absolute paths of all files that match the patterns, sorted, each once."""
    found: set[Path] = set()
    for pattern in patterns:
        try:
            place = Path(pattern).expanduser()
            is_folder = place.is_dir()
        except (RuntimeError, ValueError) as error:  # ~ of nobody; a NUL
            raise InputError(f"{pattern!r}: {error}; correct {key}") from error
        if is_folder:
            raise InputError(f"{pattern}: {looks.of_folder(place, key)}")
        matches = [place] if place.exists() else [Path(p) for p in glob.glob(str(place), recursive=True)]
        files = {path.resolve() for path in matches if path.is_file()}
        if not files:
            what = "matches no file" if glob.has_magic(pattern) else "no such file"
            raise InputError(f"{pattern}: {what}; correct {key}{looks.why_no_file(pattern, key)}")
        found |= files
    return sorted(found)


def named(paths: list[Path]) -> list[tuple[str, Path]]:
    """Files by their path below the folder that all are in."""
    root = os.path.commonpath([path.parent for path in paths])  # moving the folder must not change the split
    return [(path.relative_to(root).as_posix(), path) for path in paths]


def outside(name: object, token: int, vocab_size: int) -> InputError:
    """The refusal of the token files `name`, which hold an id that is not in the vocabulary."""
    return InputError(
        f"{name}: token id {token} is not below corpus.vocab_size {vocab_size}; raise vocab_size, or check token_dtype"
    )


def num_ids(path: Path, dtype: str) -> int:
    """The number of ids in a plain token file. Raises InputError for an empty file, or one that ends within an id."""
    size = stat_of(path).st_size
    if not size or size % np.dtype(dtype).itemsize:
        raise InputError(f"{path}: {size} bytes are not a whole number of {dtype} ids; check token_dtype")
    return size // np.dtype(dtype).itemsize


def read_text(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise looks.unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}; convert it or leave it out") from error
    if "\0" in text:
        raise InputError(f"{path}: has NUL bytes, so it is binary; leave it out of corpus.text")
    return text


def stat_of(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise looks.unreadable(path, error) from error


def chunks(path: Path, dtype: str) -> Iterator[npt.NDArray[Any]]:
    try:
        with path.open("rb") as file:
            while (chunk := np.fromfile(file, dtype=dtype, count=CHUNK)).size:
                yield chunk
    except OSError as error:
        raise looks.unreadable(path, error) from error


def entry_key(kind: str, settings: list[Any], files: Iterable[tuple[str, Path]]) -> str:
    """Name of the cache entry. It depends on sizes and times, not on content, so that reuse reads no file."""
    listed = [(name, str(path), (stat := stat_of(path)).st_size, stat.st_mtime_ns) for name, path in files]
    return stable_hash(kind, json.dumps([FORMAT, settings, listed]))[:20]


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stable_hash(purpose: str, text: str) -> str:
    """Hex sha256, independent for each purpose. File names need not be UTF-8."""
    return hashlib.sha256(f"{purpose}\0{text}".encode(errors="surrogateescape")).hexdigest()


def hash_bytes(purpose: str, data: bytes) -> int:
    """The first 64 bits of a sha256, independent for each purpose."""
    return int.from_bytes(hashlib.sha256(purpose.encode() + b"\0" + data).digest()[:8], "little")
