"""The corpus: cached token files, fixed validation windows, and batches that depend only on seed and step."""

import contextlib
import functools
import itertools
import json
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lrladder.benchmark.config.parts import CorpusConfig
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.reading import RESULTS_BYTES, parse_json, read_text
from lrladder.benchmark.training.sources import FORMAT, TextFiles, TokenFiles, stable_hash

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Corpus:
    """Tokens of one cache entry. `val_windows` is [val_documents, seq_len + 1]; `digest` is a hash of the tokens."""

    path: Path
    digest: str
    manifest: dict[str, Any]
    train: np.memmap[Any, Any]
    val: np.memmap[Any, Any]
    val_windows: Ids

    def batch(self, *, step: int, batch_tokens: int, seq_len: int, seed: int) -> Ids:
        """Rows [batch_tokens / seq_len, seq_len + 1] of a step. Without any state, a resumed run gets the same data."""
        if step < 0 or batch_tokens <= 0 or batch_tokens % seq_len:
            raise ValueError(f"step {step}, batch_tokens {batch_tokens}: not whole windows of {seq_len} tokens")
        windows = _count_windows(len(self.train), seq_len)
        if not windows:
            raise InputError(f"corpus has {len(self.train)} train tokens, seq_len {seq_len} needs more; give more text")
        rows = batch_tokens // seq_len
        places = (divmod(place, windows) for place in range(step * rows, (step + 1) * rows))
        starts = np.array([_permutation(seed, epoch, windows)[index] for epoch, index in places]) * seq_len
        return _gather(self.train, starts, seq_len)

    def require(self, tokens: int) -> None:
        """Raise InputError unless one epoch has `tokens` tokens, so that no text is trained on twice."""
        seq_len = self.val_windows.shape[1] - 1
        there = _count_windows(len(self.train), seq_len) * seq_len
        if tokens > there:
            raise InputError(
                f"corpus too short for horizon {tokens:,}: {tokens:,} tokens needed, {there:,} there; "
                "give more text (or raise corpus.max_bytes) or shorten horizons"
            )


def prepare(config: CorpusConfig, *, seq_len: int, cache: Path) -> Corpus:
    """Open the cache entry for this config and its files. Build it first if it is missing or damaged."""
    ready = bool(config.train_tokens or config.val_tokens)
    if config.packages and (ready or config.text):
        raise InputError("corpus: packages adds to Python's own sources, and files are given; keep one of them")
    if ready and config.text:
        raise InputError("corpus: text and token files are both given; keep one of them")
    if ready and not (config.train_tokens and config.val_tokens):
        raise InputError("corpus: train_tokens and val_tokens go together; give the missing one")
    source = TokenFiles.find(config) if ready else TextFiles.find(config)
    entry = cache / source.key
    if _read_manifest(entry) is None:
        _build(source, entry)
    return load(entry, seq_len, config.val_documents)


def load(cache_dir: Path, seq_len: int, val_documents: int) -> Corpus:
    """Open a finished cache entry without hashing it. Raises InputError if damaged or too short for validation."""
    manifest = _read_manifest(cache_dir)
    if manifest is None:
        raise InputError(f"{cache_dir}: damaged or unfinished corpus; delete the folder, and it is built again")
    dtype = np.dtype(manifest["dtype"])
    train, val = (np.memmap(cache_dir / manifest["paths"][part], dtype=dtype, mode="r") for part in ("train", "val"))
    starts = _spread(manifest["val_offsets"], seq_len, val_documents)
    return Corpus(cache_dir, manifest["digest"], manifest, train, val, _gather(val, starts, seq_len))


def _spread(offsets: list[int], seq_len: int, count: int) -> Ids:
    """Starts of `count` windows, each in another document, spread evenly; with too few documents, several in each."""
    room = np.array([_count_windows(end - begin, seq_len) for begin, end in itertools.pairwise(offsets)])
    if room.sum() < count:
        raise InputError(
            f"corpus: validation holds {room.sum()} windows of {seq_len + 1} tokens, {count} are needed; "
            "give more text, raise corpus.val_fraction, or lower corpus.val_documents or seq_len"
        )
    taken = np.zeros_like(room)
    while (left := count - taken.sum()) > 0:
        free = np.flatnonzero(taken < room)
        taken[free[_evenly(min(left, len(free)), len(free))]] += 1
    return np.concatenate(
        [begin + _evenly(n, most) * seq_len for begin, n, most in zip(offsets, taken, room, strict=False) if n]
    )


def _evenly(count: int, length: int) -> Ids:
    """`count` distinct indices, the middles of equal parts of range(length). Needs count <= length."""
    middles: Ids = (2 * np.arange(count, dtype=np.int64) + 1) * length // (2 * count)
    return middles


def _count_windows(tokens: int, seq_len: int) -> int:
    return max(0, tokens - 1) // seq_len  # each window needs one more token, its last target


def _gather(tokens: npt.NDArray[Any], starts: Ids, seq_len: int) -> Ids:
    rows: Ids = np.asarray(tokens)[starts[:, None] + np.arange(seq_len + 1)].astype(np.int64)
    return rows


@functools.lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, windows: int) -> Ids:
    bits = np.random.PCG64([seed % 2**64, epoch])  # numpy accepts no negative seed
    order: Ids = np.random.Generator(bits).permutation(windows)
    order.flags.writeable = False  # all callers share the array
    return order


def _build(source: TextFiles | TokenFiles, entry: Path) -> None:
    """Build in a private folder, then rename it, so that two processes at once end with one complete entry."""
    building = entry.parent / f".building-{entry.name}-{uuid.uuid4().hex[:8]}"
    try:
        building.mkdir(parents=True)
        manifest = source.build(building)
        matters = [manifest[name] for name in ("dtype", "vocab_size", "sha256", "val_offsets")]
        manifest |= {"format": FORMAT, "digest": stable_hash("digest", json.dumps(matters, sort_keys=True))[:16]}
        (building / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        _publish(building, entry)
    except OSError as error:
        why = f"corpus cannot be cached here ({error.strerror or error}); name another folder in LRLADDER_CACHE"
        raise InputError(f"{entry.parent}: {why}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _publish(building: Path, entry: Path) -> None:
    """Rename the folder to the entry. The first process wins, because a rename onto an existing entry fails."""
    with contextlib.suppress(OSError):
        building.rename(entry)
    if _read_manifest(entry) is not None:
        return
    damaged = building.with_name(f"{building.name}-damaged")
    with contextlib.suppress(FileNotFoundError):
        entry.rename(damaged)
    shutil.rmtree(damaged, ignore_errors=True)
    try:
        building.rename(entry)
    except OSError:
        if _read_manifest(entry) is None:
            raise


def _read_manifest(entry: Path) -> dict[str, Any] | None:
    """The manifest; None if it is incomplete or its token files do not have the sizes that it states."""
    try:
        manifest: dict[str, Any] = parse_json(read_text(entry / "manifest.json", RESULTS_BYTES))
        item = np.dtype(manifest["dtype"]).itemsize
        whole = manifest["format"] == FORMAT and len(manifest["digest"]) == 16 and manifest["val_offsets"]
        for part, path in manifest["paths"].items():
            whole = whole and (entry / path).stat().st_size == manifest["tokens"][part] * item > 0
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return manifest if whole else None
