"""From the documents of all sources to train.bin and val.bin: what is held out, dropped, and kept for the weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.training import overlap
from lrladder.benchmark.training.files import sha256_of
from lrladder.benchmark.training.text.spool import Spool, State

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Part:
    """A source whose tokens are there. `records` [documents] is of type spool.RECORD."""

    name: str
    weight: float
    tokens: npt.NDArray[Any]
    records: npt.NDArray[Any]
    state: State

    @classmethod
    def of(cls, spool: Spool, weight: float, state: State) -> "Part":
        if len(spool.records) < 2:
            less = "raise corpus.max_bytes, or give more" if state.cut else "give more"
            raise InputError(f"{spool.name}: holds fewer than 2 documents, and some must be held out; {less}")
        return cls(spool.name, weight, spool.tokens, spool.records, state)


def assemble(parts: Sequence[Part], folder: Path, dtype: str, val_fraction: float) -> dict[str, Any]:
    """Write train.bin and val.bin. Returns what the manifest says of them."""
    sides = [held_out(part.records, val_fraction, part.name) for part in parts]
    val = [_lengths(part, side) for part, side in zip(parts, sides, strict=True)]
    train = [_lengths(part, ~side) for part, side in zip(parts, sides, strict=True)]
    _write(folder / "val.bin", parts, sides)
    _write(folder / "train.bin", parts, [~side for side in sides])
    owners = np.repeat(np.arange(len(parts)), [len(lengths) for lengths in train])
    hashes = np.concatenate([part.records["hash"][~side] for part, side in zip(parts, sides, strict=True)])
    lengths = np.concatenate(train)
    weights = np.array([part.weight for part in parts]) / sum(part.weight for part in parts)
    choose = partial(within_weights, owners=owners, lengths=lengths, hashes=hashes, weights=weights)
    kept, shared = overlap.drop(folder, dtype, _offsets(lengths), _offsets(np.concatenate(val)), set(), choose)
    trained = np.bincount(owners[kept], lengths[kept], len(parts)).astype(np.int64)
    held = np.array([part.sum() for part in val])
    return {
        "documents": {
            "read": sum(part.state.documents for part in parts),
            "empty": sum(part.state.empty for part in parts),
            "train": len(kept),
            "val": sum(map(len, val)),
            "dropped": shared["dropped_files"],
            "left_out": len(lengths) - shared["dropped_files"] - len(kept),  # to keep the weights
        },
        "bytes": {"read": sum(part.state.num_bytes for part in parts)},
        "tokens": {"train": int(trained.sum()), "val": int(held.sum())},
        "sha256": {name: sha256_of(folder / f"{name}.bin") for name in ("train", "val")},
        "overlap": shared,
        "val_offsets": _offsets(held),
        "mixture": [
            _described(part, float(weight), int(tokens), float(tokens / trained.sum()), int(held_tokens))
            for part, weight, tokens, held_tokens in zip(parts, weights, trained, held, strict=True)
        ],
        **({"parts": _parts(weights, trained)} if len(parts) > 1 else {}),
    }


def _parts(weights: npt.NDArray[np.float64], trained: Ints) -> dict[str, Any]:
    """What decides the order of batches and the validation windows of a mixture; part of the digest."""
    return {"weights": weights.tolist(), "train_offsets": _offsets(trained)}


def _described(part: Part, weight: float, train: int, share: float, val: int) -> dict[str, Any]:
    read = {"documents": part.state.documents, "empty": part.state.empty, "cut": part.state.cut}
    tokens = {"train_tokens": train, "val_tokens": val, "tokens_read": part.state.tokens}
    return {"name": part.name, "weight": weight, "share": share, **tokens, **read}


def held_out(records: npt.NDArray[Any], fraction: float, name: str) -> Flags:
    """Which documents are for validation: those that their source says, else those with the smallest hashes.

    A hash is of the content, so copies of a document are on one side.
    """
    if (records["held_out"] >= 0).all():
        return np.asarray(records["held_out"] == 1)
    count = min(max(1, round(fraction * len(records))), len(records) - 1)
    out: Flags = records["hash"] <= np.sort(records["hash"])[count - 1]
    if out.all():
        raise InputError(f"{name}: all documents are copies of one another; give others, as some must be held out")
    return out


def within_weights(
    kept: list[int], *, owners: Ints, lengths: Ints, hashes: npt.NDArray[np.uint64], weights: npt.NDArray[np.float64]
) -> list[int]:
    """Of the documents `kept`, as many as have the weights' shares of tokens, none twice.

    The scarcest source stays whole. Of the others the documents with the smallest hashes stay, a random sample; their
    share is too small by less than one document.
    """
    index = np.array(kept, np.int64)
    there = np.bincount(owners[index], lengths[index], len(weights))
    if not there.all():
        raise InputError(
            "corpus.sources: all training documents of one source repeat validation text of another; "
            "leave one of the two out"
        )
    scarcest = int(np.argmin(there / weights))
    stay = owners[index] == scarcest
    for source in set(range(len(weights))) - {scarcest}:
        mine = np.flatnonzero(owners[index] == source)
        order = mine[np.argsort(hashes[index[mine]], kind="stable")]
        room = there[scarcest] / weights[scarcest] * weights[source]
        stay[order[np.cumsum(lengths[index[order]]) <= room]] = True
    return [int(document) for document in index[stay]]


def _lengths(part: Part, chosen: Flags) -> Ints:
    return np.asarray(part.records["tokens"][chosen], np.int64)


def _offsets(lengths: Sequence[int] | Ints) -> list[int]:
    return [0, *np.cumsum(lengths, dtype=np.int64).tolist()]


def _write(path: Path, parts: Sequence[Part], chosen: Sequence[Flags]) -> None:
    """The chosen documents of all sources, one source after the other."""
    with path.open("wb") as out:
        for part, flags in zip(parts, chosen, strict=True):
            starts = np.concatenate([[0], np.cumsum(part.records["tokens"])])
            edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
            for first, last in edges.reshape(-1, 2):  # documents that stand side by side are written at once
                out.write(part.tokens[starts[first] : starts[last]].data)
