"""Megatron's token files: `NAME.bin` holds ids, `NAME.idx` their type and the borders of documents.

The layout is that of megatron/core/datasets/indexed_dataset.py (Megatron-LM): 9 bytes of magic, version as uint64, the
code of the type as uint8, the counts of sequences and documents as uint64, together 34 bytes. Three arrays follow: the
lengths of sequences (int32), their places in bytes (int64), and the sequences at which documents begin (int64), one
more than there are documents.
"""

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.training.files import stat_of
from lrladder.benchmark.training.text.looks import INDEX

DTYPES = {1: "<u1", 2: "<i1", 3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2"}  # DType; 6 and 7 are floats
HEADER = struct.Struct("<9sQBQQ")


class Index(NamedTuple):
    """Documents of one file: their `starts` in ids [documents + 1], which end with the number of all ids."""

    bin: Path
    dtype: str
    starts: npt.NDArray[np.int64]


def pair_of(path: Path) -> tuple[Path, Path] | None:
    """The .bin and .idx of Megatron tokens that `path` names by either of them or by what they share; else None."""
    for bin_path in {path.with_suffix(".bin"), path.with_name(f"{path.name}.bin")}:
        index = bin_path.with_suffix(".idx")
        if path in (bin_path, index, bin_path.with_suffix("")) and bin_path.is_file() and _is_index(index):
            return bin_path, index
    return None


def _is_index(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(INDEX)) == INDEX
    except OSError:
        return False


def read_index(bin_path: Path, path: Path) -> Index:
    """Raises InputError for an index that is cut off, or does not fit its .bin."""
    data = path.read_bytes()
    _, version, code, sequences, documents = HEADER.unpack_from(data.ljust(HEADER.size, b"\0"))
    at = HEADER.size
    if version != 1 or code not in DTYPES:
        raise InputError(f"{path}: version {version} and type {code} hold no token ids; write it with integer ids")
    if len(data) < at + 12 * sequences + 8 * documents:
        raise InputError(f"{path}: is cut off at {len(data):,} bytes; copy it again")
    lengths = np.frombuffer(data, "<i4", sequences, at).astype(np.int64)
    places = np.frombuffer(data, "<i8", sequences, at + 4 * sequences)
    borders = np.frombuffer(data, "<i8", documents, at + 12 * sequences)
    item = np.dtype(DTYPES[code]).itemsize
    ends = np.concatenate([[0], np.cumsum(lengths)])
    if not np.array_equal(places, ends[:-1] * item) or ends[-1] * item != stat_of(bin_path).st_size:
        raise InputError(f"{path}: is not the index of {bin_path.name} with its {stat_of(bin_path).st_size:,} bytes")
    if not documents or borders[0] != 0 or borders[-1] != sequences or (np.diff(borders) < 0).any():
        raise InputError(f"{path}: its documents do not cover its {sequences:,} sequences; write it again")
    return Index(bin_path, DTYPES[code], np.unique(ends[borders]))
