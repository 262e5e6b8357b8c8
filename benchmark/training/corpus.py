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

from lrladder.benchmark.config.corpus import CorpusConfig
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import make_private
from lrladder.benchmark.training.entry import PARTS, Verified, digest_of, manifest_of, verify
from lrladder.benchmark.training.files import FORMAT
from lrladder.benchmark.training.prepared import open_prepared
from lrladder.benchmark.training.text.choice import Source, by_weight, source_of
from lrladder.benchmark.training.text.mixture import Mixture
from lrladder.benchmark.training.text.progress import Show, silent
from lrladder.benchmark.training.text.words import scarce

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
        counts = self._windows_of_sources(windows, seq_len)
        starts = np.array([_permutation(seed, epoch, counts)[index] for epoch, index in places]) * seq_len
        return _gather(self.train, starts, seq_len)

    def _windows_of_sources(self, windows: int, seq_len: int) -> tuple[int, ...]:
        """Windows that begin in each source; all in one, unless the corpus is a mixture."""
        if "parts" not in self.manifest:
            return (windows,)
        firsts = -(-np.array(self.manifest["parts"]["train_offsets"]) // seq_len)  # the first window of each source
        return tuple(np.diff(np.minimum(firsts, windows)).tolist())

    def require(self, tokens: int) -> None:
        """Raise InputError unless one epoch has `tokens` tokens, so that no text is trained on twice."""
        seq_len = self.val_windows.shape[1] - 1
        there = _count_windows(len(self.train), seq_len) * seq_len
        if tokens > there:
            raise InputError(
                f"corpus too short for horizon {tokens:,}: {tokens:,} tokens needed, {there:,} there; "
                f"{scarce(self.manifest)} or shorten horizons"
            )


def prepare(
    config: CorpusConfig,
    *,
    seq_len: int,
    cache: Path,
    say: Callable[[str], None] = lambda sentence: None,
    show: Show = silent,
) -> Corpus:
    """Open the cache entry for this config and its files. Build it first if it is missing or damaged.

    All tokens are read once and compared with their digest. `say` is told about a damaged entry. Raises InputError for
    bad input, and if other users can write to the cache.
    """
    return load(verified_entry(config, cache=cache, say=say, show=show), seq_len, config.val_documents)


def verified_entry(config: CorpusConfig, *, cache: Path, say: Callable[[str], None], show: Show = silent) -> Verified:
    """The entry of `prepare`, before its windows are chosen."""
    if config.prepared:
        return open_prepared(config)
    source = source_of(config)
    entry = cache / source.key
    make_private(cache)
    if (verified := verify(entry, source.places, config.vocab_size)) is None:
        with source.alone(cache, say) if isinstance(source, Mixture) else contextlib.nullcontext():
            verified = verify(entry, source.places, config.vocab_size) or _built(source, entry, say, show)
    return verified


def _built(source: Source, entry: Path, say: Callable[[str], None], show: Show) -> Verified:
    if entry.exists():
        say(f"{entry} does not hold the tokens that were written to it; it is built again.")
    _build(source, entry, show)
    if (verified := verify(entry, source.places, source.config.vocab_size)) is None:
        raise InputError(f"{entry}: the corpus changed while it was read; leave its files alone and run again")
    return verified


def load(verified: Verified, seq_len: int, val_documents: int) -> Corpus:
    """Open an entry that was verified. Raises InputError if it has changed since, or is too short for validation."""
    entry = verified.entry
    manifest = manifest_of(verified)
    dtype = np.dtype(manifest["dtype"])
    train, val = (np.memmap(entry / manifest["paths"][part], dtype=dtype, mode="r") for part in PARTS)
    weights = manifest["parts"]["weights"] if "parts" in manifest else None
    starts = _spread(manifest["val_offsets"], seq_len, val_documents, weights)
    return Corpus(entry, manifest["digest"], manifest, train, val, _gather(val, starts, seq_len), verified)


def _spread(offsets: list[int], seq_len: int, count: int, weights: list[float] | None = None) -> Ids:
    """Starts [count] of validation windows, spread evenly over the documents that begin at `offsets`.

    Each is in another document. If there are too few documents, some have several. With `weights` the offsets are
    borders of sources, and each source has its share of the windows.
    """
    if weights is not None:
        spans = zip(itertools.pairwise(offsets), by_weight(weights, count), strict=True)
        return np.concatenate([begin + _spread([0, end - begin], seq_len, n) for (begin, end), n in spans if n])
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
def _permutation(seed: int, epoch: int, counts: tuple[int, ...]) -> Ids:
    """An order of all windows. With several sources any prefix has their shares, to about one window of each."""
    seeds = [seed % 2**64, epoch]  # numpy accepts no negative seed
    orders = [
        np.random.Generator(np.random.PCG64([*seeds, source] if source else seeds)).permutation(count)
        for source, count in enumerate(counts)
    ]
    order: Ids = orders[0] if len(orders) == 1 else _interleaved(orders, seeds)
    order.flags.writeable = False  # all callers share the array
    return order


def _interleaved(orders: list[Ids], seeds: list[int]) -> Ids:
    """The orders of several sources as one. Window j of n comes at (j + u) / n of the way, u random for each source."""
    shifts = np.random.Generator(np.random.PCG64([*seeds, len(orders)])).random(len(orders))
    ways = np.concatenate([(np.arange(len(one)) + u) / len(one) for one, u in zip(orders, shifts, strict=True)])
    firsts = np.cumsum([0, *map(len, orders)])
    shifted = np.concatenate([one + first for one, first in zip(orders, firsts, strict=False)])
    return np.asarray(shifted[np.argsort(ways, kind="stable")], np.int64)


def _build(source: Source, entry: Path, show: Show = silent) -> None:
    """Build in a private folder, then rename it, so that two processes at once end with one complete entry."""
    building = entry.parent / f".building-{entry.name}-{uuid.uuid4().hex[:8]}"
    try:
        building.mkdir(mode=0o700)
        manifest = source.build(building, show)
        manifest |= {"format": FORMAT, "digest": digest_of(manifest)}
        (building / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        _publish(building, entry, source)
    except OSError as error:
        why = f"corpus cannot be cached here ({error.strerror or error}); name another folder in LRLADDER_CACHE"
        raise InputError(f"{entry.parent}: {why}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _publish(building: Path, entry: Path, source: Source) -> None:
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
