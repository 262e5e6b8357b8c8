"""The corpus: cached token files, fixed validation windows, and batches that depend only on seed and step."""

import contextlib
import functools
import itertools
import json
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lrladder.benchmark.config.parts import CorpusConfig
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import make_private
from lrladder.benchmark.training.entry import PARTS, Verified, digest_of, still_whole, verify
from lrladder.benchmark.training.sources import FORMAT, TextFiles, TokenFiles

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
    verified: Verified

    def batch(self, *, step: int, batch_tokens: int, seq_len: int, seed: int) -> Ids:
        """Rows [batch_tokens / seq_len, seq_len + 1] of a step. Without any state, a resumed run gets the same data."""
        if step < 0 or batch_tokens <= 0 or batch_tokens % seq_len:
            raise ValueError(
                f"step {step}, batch_tokens {batch_tokens}: a batch must be whole windows of {seq_len} tokens"
            )
        windows = _count_windows(len(self.train), seq_len)
        if not windows:
            raise InputError(
                f"corpus: there are {len(self.train)} training tokens, which is less than one window of seq_len "
                f"{seq_len}; give more text"
            )
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
                f"corpus too short for horizon {tokens:,}: it has {there:,} training tokens; "
                "give more text (or raise corpus.max_bytes) or shorten horizons"
            )


def prepare(
    config: CorpusConfig, *, seq_len: int, cache: Path, say: Callable[[str], None] = lambda sentence: None
) -> Corpus:
    """Open the cache entry for this config and its files. Build it first if it is missing or damaged.

    All tokens are read once and compared with their digest. `say` is told about a damaged entry. Raises InputError for
    bad input, and if other users can write to the cache.
    """
    ready = bool(config.train_tokens or config.val_tokens)
    if config.packages and (ready or config.text):
        raise InputError(
            "corpus: packages adds text to Python's own sources, but the config names files instead; keep one of them"
        )
    if ready and config.text:
        raise InputError("corpus: text and token files are both given; keep one of them")
    if ready and not (config.train_tokens and config.val_tokens):
        raise InputError("corpus: train_tokens and val_tokens go together; give the missing one")
    source = TokenFiles.find(config) if ready else TextFiles.find(config)
    entry = cache / source.key
    make_private(cache)
    if (verified := verify(entry, source.places, config.vocab_size)) is None:
        if entry.exists():
            say(f"{entry} does not hold the tokens that were written to it, so it is built again.")
        _build(source, entry)
        verified = verify(entry, source.places, config.vocab_size)
    if verified is None:
        raise InputError(
            f"{entry}: the corpus changed while it was read; run again, and do not change its files meanwhile"
        )
    return load(verified, seq_len, config.val_documents)


def load(verified: Verified, seq_len: int, val_documents: int) -> Corpus:
    """Open an entry that was verified. Raises InputError if it has changed since, or is too short for validation."""
    entry = verified.entry
    if (manifest := still_whole(verified)) is None:
        raise InputError(f"{entry}: the corpus has changed since it was checked; run again to check it again")
    dtype = np.dtype(manifest["dtype"])
    train, val = (np.memmap(entry / manifest["paths"][part], dtype=dtype, mode="r") for part in PARTS)
    starts = _spread(manifest["val_offsets"], seq_len, val_documents)
    return Corpus(entry, manifest["digest"], manifest, train, val, _gather(val, starts, seq_len), verified)


def _spread(offsets: list[int], seq_len: int, count: int) -> Ids:
    """Starts [count] of validation windows, spread evenly over the documents that begin at `offsets`.

    Each is in another document. If there are too few documents, some have several.
    """
    room = np.array([_count_windows(end - begin, seq_len) for begin, end in itertools.pairwise(offsets)])
    if room.sum() < count:
        raise InputError(
            f"corpus: the validation text has {room.sum()} windows of {seq_len + 1} tokens, but {count} are needed; "
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
    """Build the entry in a private folder and then rename that, so that two processes at once give one whole entry."""
    building = entry.parent / f".building-{entry.name}-{uuid.uuid4().hex[:8]}"
    try:
        building.mkdir(mode=0o700)
        manifest = source.build(building)
        manifest |= {"format": FORMAT, "digest": digest_of(manifest)}
        (building / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        _publish(building, entry, source)
    except OSError as error:
        why = f"corpus cannot be cached here ({error.strerror or error}); name another folder in LRLADDER_CACHE"
        raise InputError(f"{entry.parent}: {why}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _publish(building: Path, entry: Path, source: TextFiles | TokenFiles) -> None:
    """Rename the folder to the entry. The first process wins, because a rename onto an existing entry fails."""
    with contextlib.suppress(OSError):
        building.rename(entry)
    if verify(entry, source.places, source.config.vocab_size) is not None:
        return
    damaged = building.with_name(f"{building.name}-damaged")
    with contextlib.suppress(FileNotFoundError):
        entry.rename(damaged)
    shutil.rmtree(damaged, ignore_errors=True)
    try:
        building.rename(entry)
    except OSError:
        if verify(entry, source.places, source.config.vocab_size) is None:
            raise
