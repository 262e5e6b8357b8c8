"""Checks an entry of the corpus cache: whether its files are those that its manifest describes."""

import hashlib
import itertools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.heartbeat import beat
from lrladder.benchmark.reading import RESULTS_BYTES, open_for_reading, parse_json, read_text
from lrladder.benchmark.training.files import CHUNK, FORMAT, stable_hash

PARTS = ("train", "val")
PLACES = {part: f"{part}.bin" for part in PARTS}  # of the tokens in an entry that holds them itself
TOKENIZER = "tokenizer.json"
DTYPES = ("<u2", "<u4")


class Stamp(NamedTuple):
    """What the file system said about a file when its content was checked. Writing to the file changes this."""

    place: str  # relative to the entry; a single token file of the user is used in place
    size: int
    changed_ns: int  # st_ctime, which programs cannot set back
    inode: int


class Verified(NamedTuple):
    """An entry whose content was read once and is what its digest says. Workers compare the stamps alone."""

    entry: Path
    digest: str
    stamps: tuple[Stamp, ...]  # in the order of PARTS


def digest_of(manifest: Mapping[str, Any]) -> str:
    """Hash of everything that determines batches. Equal tokens have equal digests, wherever they come from."""
    matters = [manifest[name] for name in ("dtype", "vocab_size", "sha256", "val_offsets")]
    if "parts" in manifest:  # a mixture: which tokens are of which source, and the weights
        matters.append(manifest["parts"])
    return stable_hash("digest", json.dumps(matters, sort_keys=True))[:16]


def read_manifest(entry: Path, places: Mapping[str, str]) -> dict[str, Any] | None:
    """The manifest of an entry; None if it is damaged or does not fit the files.

    `places` has the path of the file of each part, relative to the entry.
    """
    try:
        manifest: dict[str, Any] = parse_json(read_text(entry / "manifest.json", RESULTS_BYTES))
        whole = manifest["format"] == FORMAT and manifest["digest"] == digest_of(manifest)
        whole = whole and manifest["paths"] == dict(places) and manifest["dtype"] in DTYPES
        item = np.dtype(manifest["dtype"]).itemsize if whole else 0
        for part in PARTS:
            whole = whole and (entry / places[part]).stat().st_size == manifest["tokens"][part] * item > 0
        whole = whole and _are_offsets(manifest["val_offsets"], manifest["tokens"]["val"])
        whole = whole and ("parts" not in manifest or _are_parts(manifest))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return manifest if whole else None


def _are_offsets(offsets: list[int], tokens: int) -> bool:
    rising = all(a < b for a, b in itertools.pairwise(offsets))
    return rising and offsets[0] == 0 and offsets[-1] == tokens


def _are_parts(manifest: Mapping[str, Any]) -> bool:
    weights, offsets = manifest["parts"]["weights"], manifest["parts"]["train_offsets"]
    fit = len(weights) == len(offsets) - 1 == len(manifest["val_offsets"]) - 1
    fit = fit and all(isinstance(weight, float) and 0 < weight <= 1 for weight in weights)
    return fit and _are_offsets(offsets, manifest["tokens"]["train"])


def verify(entry: Path, places: Mapping[str, str], vocab_size: int) -> Verified | None:
    """Read all tokens of an entry once. None if they differ from the manifest, or one is not in the vocabulary."""
    manifest = read_manifest(entry, places)
    if manifest is None or manifest["vocab_size"] != vocab_size:
        return None
    try:
        stamps = [_verified(entry, places[part], manifest, manifest["sha256"][part]) for part in PARTS]
    except (OSError, ValueError):
        return None
    return Verified(entry, manifest["digest"], tuple(stamps))


def _verified(entry: Path, place: str, manifest: Mapping[str, Any], expected: str) -> Stamp:
    """Read one file. Raises ValueError if its content is not the expected one, and OSError."""
    digest, dtype = hashlib.sha256(), np.dtype(manifest["dtype"])
    with open_for_reading(entry / place) as file:
        found = _stamp(place, os.fstat(file.fileno()))
        while (chunk := np.fromfile(file, dtype=dtype, count=CHUNK)).size:
            beat()
            digest.update(chunk.data)
            if int(chunk.max()) >= manifest["vocab_size"]:
                raise ValueError(f"{place}: an id is not in the vocabulary")
    if digest.hexdigest() != expected:
        raise ValueError(f"{place}: other tokens than were written")
    return found


def _stamp(place: str, found: os.stat_result) -> Stamp:
    return Stamp(place, found.st_size, found.st_ctime_ns, found.st_ino)


def manifest_of(verified: Verified) -> dict[str, Any]:
    """Raises InputError if the entry has changed since it was verified."""
    if (manifest := still_whole(verified)) is None:
        raise InputError(
            f"{verified.entry}: the corpus has changed since it was checked; run again, and it is checked again"
        )
    return manifest


def still_whole(verified: Verified) -> dict[str, Any] | None:
    """The manifest of an entry; None if the entry has changed. If a stamp differs, the files are read once more."""
    entry = verified.entry
    places = {part: stamp.place for part, stamp in zip(PARTS, verified.stamps, strict=True)}
    manifest = read_manifest(entry, places)
    if manifest is None or manifest["digest"] != verified.digest:
        return None
    now = [_stamp(place, (entry / place).stat()) for place in places.values()]
    return manifest if now == list(verified.stamps) or verify(entry, places, manifest["vocab_size"]) else None
