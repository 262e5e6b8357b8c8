"""Finds text that training and validation have in common, and drops the training files that repeat validation text.

A run here is a sequence of GRAM tokens. All runs are compared, not a sketch of them as in MinHash, because the limit
is on their share, and numpy reads about 10 million tokens per second. Runs are compared by hashes of 64 bits. With 1e9
runs in training and 1e7 in validation, 5e-4 pairs are expected to match by chance.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lrladder.benchmark.errors import InputError

GRAM = 64  # tokens: about 150 characters, longer than an idiom and shorter than a table or a licence
MOST_SHARED = 0.005  # share of the validation's runs; assumption: at most 0.5% of a loss then comes from known text
AIM = 0.0025  # share at which dropping stops; half of MOST_SHARED, because runs across two files are not compared
NEAR = 0.5  # share of the runs of one file in the other that makes them near-duplicates; assumption
MOST_DROPPED = 0.5  # share of training tokens; assumption: if more, most files share a passage such as a licence
CHUNK = 1 << 18  # tokens hashed at once; an array of 2 MB fits into caches
MOST_GRAMS = 1 << 23  # distinct runs of the validation that are kept (64 MB); if there are more, a sample by hash
_FACTOR = 0x9E3779B97F4A7C15  # 2^64 / golden ratio, an odd number without a pattern in its bits (as in splitmix64)

Tokens = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


class Grams(NamedTuple):
    """Distinct runs within the validation files: sorted hashes, their counts, and the first file that has each.

    If there are more than MOST_GRAMS runs, one in `one_in` is kept, chosen by its hash.
    """

    hashes: Hashes
    counts: Ints
    files: Ints
    one_in: int


class Held(NamedTuple):
    """The validation runs that occur in training files. `files` and `grams` list each pair of file and run once."""

    files: Ints  # [pairs], index of the training file
    grams: Ints  # [pairs], index of the run in `Grams`
    places: Ints  # [files], number of places of each training file at which a validation run begins


def hash_grams(tokens: Tokens) -> Hashes:
    """Hashes [len(tokens) - GRAM + 1] of all runs of GRAM tokens: polynomials modulo 2^64 of the mixed tokens."""
    found, factor = _mixed(tokens.astype(np.uint64)), _FACTOR
    reach = 1
    while reach < GRAM:  # the hash of a run of twice the length, from its halves
        found = found[:-reach] * np.uint64(factor) + found[reach:]
        reach, factor = 2 * reach, factor * factor % 2**64
    return found


def _mixed(values: Hashes) -> Hashes:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014): each input bit affects every output bit."""
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values


def grams_of(tokens: Tokens, offsets: list[int]) -> Grams:
    """The runs of the validation tokens. Files begin at `offsets` [files + 1], which ends with the total."""
    one_in = -(-len(tokens) // MOST_GRAMS)
    hashes, files = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    ends = np.asarray(offsets)
    for start, chunk in _chunks(tokens):
        places = np.flatnonzero(chunk % np.uint64(one_in) == 0) if one_in > 1 else np.arange(len(chunk))
        inside, owners = _inside(places + start, ends)
        hashes.append(chunk[places[inside]])
        files.append(owners)
    found, first, counts = np.unique(np.concatenate(hashes), return_index=True, return_counts=True)
    return Grams(found, counts, np.concatenate(files)[first], one_in)


def find(grams: Grams, tokens: Tokens, offsets: list[int]) -> Iterator[tuple[Ints, Ints]]:
    """Training runs that are in the validation text, in pieces: the file of each run, and its index in `grams`."""
    bits = max(20, (8 * len(grams.hashes)).bit_length())  # size of a table that lets one in 8 other runs pass
    shift, seen = np.uint64(64 - bits), np.zeros(1 << bits, bool)
    seen[grams.hashes >> shift] = True
    ends = np.asarray(offsets)
    for start, chunk in _chunks(tokens):
        places = np.flatnonzero(seen[chunk >> shift])
        index = np.searchsorted(grams.hashes, chunk[places])
        index[index == len(grams.hashes)] = 0
        same = grams.hashes[index] == chunk[places]
        inside, owners = _inside(places[same] + start, ends)
        yield owners, index[same][inside]


def _chunks(tokens: Tokens) -> Iterator[tuple[int, Hashes]]:
    """Hashes of all runs, in pieces, each with the place of its first run."""
    for start in range(0, len(tokens) - GRAM + 1, CHUNK):
        yield start, hash_grams(np.asarray(tokens[start : start + CHUNK + GRAM - 1]))


def _inside(places: Ints, ends: Ints) -> tuple[npt.NDArray[np.bool_], Ints]:
    """Which runs that begin at `places` are within one file, and the files of these runs."""
    owners = np.searchsorted(ends, places, side="right") - 1
    inside = places + GRAM <= ends[owners + 1]
    return inside, owners[inside]


def held(grams: Grams, tokens: Tokens, offsets: list[int]) -> Held:
    """The result of `find`, with each pair of file and run once."""
    size, count = max(1, len(grams.hashes)), len(offsets) - 1
    pairs, places = [np.empty(0, np.int64)], np.zeros(count, np.int64)
    for files, index in find(grams, tokens, offsets):
        pairs.append(np.unique(files * size + index))
        places += np.bincount(files, minlength=count)
    files, index = np.divmod(np.unique(np.concatenate(pairs)), size)
    return Held(files, index, places)


def files_to_drop(grams: Grams, found: Held, offsets: list[int]) -> set[int]:
    """Training files to drop so that at most the share AIM of the runs within validation files is left in training.

    Near-duplicates are always dropped: files with a share of at least NEAR of their runs in the validation text, or
    that contain at least NEAR of a validation file. The other files are visited in order of shared runs per token,
    fewest first, and each is kept if the total stays below AIM. If this would drop more than MOST_DROPPED of the
    tokens, most files share a passage. Then only files with at least NEAR of their runs in the validation text are
    dropped.
    """
    lengths = np.diff(offsets)
    repeats = np.flatnonzero(found.places * grams.one_in >= NEAR * np.maximum(lengths - GRAM + 1, 1)).tolist()
    near = {*repeats, *_holders_of_files(grams, found)}
    allowed, covered = AIM * grams.counts.sum(), np.zeros(len(grams.hashes), bool)
    holders, begins = np.unique(found.files, return_index=True)
    held_by = dict(zip(holders.tolist(), np.split(found.grams, begins[1:]), strict=False))
    dropped = set(near)
    for file in sorted(held_by, key=lambda file: (grams.counts[held_by[file]].sum() / lengths[file], file)):
        new = held_by[file][~covered[held_by[file]]]
        if file in near or (brought := grams.counts[new].sum()) > allowed:
            dropped.add(file)
        else:
            allowed -= brought
            covered[new] = True
    return dropped if lengths[list(dropped)].sum() <= MOST_DROPPED * lengths.sum() else set(repeats)


def _holders_of_files(grams: Grams, found: Held) -> list[int]:
    """Training files with at least NEAR of the runs that one validation file is the first to have."""
    owned = np.bincount(grams.files, minlength=1)
    both, counts = np.unique(found.files * len(owned) + grams.files[found.grams], return_counts=True)
    files, theirs = np.divmod(both, len(owned))
    holders: list[int] = files[counts >= NEAR * owned[theirs]].tolist()
    return holders


def shared(train: Tokens, val: Tokens) -> float:
    """Share of all validation runs, including those across files, that are in training; 0 if there are no runs."""
    grams = grams_of(val, [0, len(val)])
    covered = np.zeros(len(grams.hashes), bool)
    for _, index in find(grams, train, [0, len(train)]):
        covered[index] = True
    return float(grams.counts[covered].sum() / max(1, grams.counts.sum()))


def drop(
    folder: Path,
    dtype: str,
    train_offsets: list[int],
    val_offsets: list[int],
    copies: set[int],
    choose: Callable[[list[int]], list[int]] = list,
) -> tuple[list[int], dict[str, Any]]:
    """Remove files that repeat validation text, and always `copies`, from train.bin. Returns the others and a record.

    Of the others only those stay that `choose` returns. Files are compared as tokens. The tokenizer was therefore
    trained on all of them before.
    """
    train, val = (np.memmap(folder / f"{part}.bin", dtype=dtype, mode="r") for part in ("train", "val"))
    grams = grams_of(val, val_offsets)
    dropped = copies | files_to_drop(grams, held(grams, train, train_offsets), train_offsets)
    kept = [index for index in range(len(train_offsets) - 1) if index not in dropped]
    if not kept:
        raise InputError("corpus: every training file repeats validation text; give files that differ from one another")
    tokens = sum(train_offsets[index + 1] - train_offsets[index] for index in dropped)
    kept = choose(kept)
    before, path = shared(train, val), folder / "kept.bin"
    with path.open("wb") as out:
        for index in kept:
            out.write(train[train_offsets[index] : train_offsets[index + 1]].data)
    path.replace(folder / "train.bin")
    found: dict[str, Any] = {"shared_before": before, "dropped_files": len(dropped), "dropped_tokens": tokens}
    found["dropped_share"] = tokens / len(train)
    return kept, record(folder / "train.bin", folder / "val.bin", dtype) | found


def record(train: Path, val: Path, dtype: str) -> dict[str, Any]:
    """The share of validation runs in training. The documents in token files are unknown, so none can be dropped."""
    ids = [np.memmap(path, dtype=dtype, mode="r") for path in (train, val)]
    found = shared(*ids)
    return {
        "run_tokens": GRAM,
        "validation_runs": max(0, len(ids[1]) - GRAM + 1),
        "shared": found,
        "flagged": found > MOST_SHARED,
        "dropped_files": 0,
    }


def sentence(corpus: Mapping[str, Any]) -> str:
    """The record of a corpus about shared text, in words."""
    if not (known := corpus.get("overlap")):
        return "not known: the corpus is of an older version"
    said = f"{known['shared']:.2%} of the {known['validation_runs']:,} sequences of {known['run_tokens']} tokens"
    said = f"{said} in the validation text are also in the training text"
    if known["dropped_files"]:
        noun = "document" if "documents" in corpus else "file"
        files = f"1 {noun} was" if known["dropped_files"] == 1 else f"{known['dropped_files']:,} {noun}s were"
        said = f"{said}. This share was {known['shared_before']:.2%} before {files} dropped from training"
        said = f"{said} ({known['dropped_share']:.1%} of its tokens)"
    if known["flagged"]:
        said = f"{said}. That is above {MOST_SHARED:.1%}, so validation losses partly measure text learnt by heart"
    return said
