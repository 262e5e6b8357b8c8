"""Readers of token ids: Megatron's files, document by document, and files without index, piece by piece."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrladder.benchmark.config.corpus import SourceKeys
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.training.files import expand, num_ids, stat_of
from lrladder.benchmark.training.text.documents import Document, Place
from lrladder.benchmark.training.text.looks import require_ids
from lrladder.benchmark.training.text.megatron import Index, pair_of, read_index

PIECE = 1 << 16  # ids of a file without index that count as one document; assumption
PLAIN = {"uint16": "<u2", "uint32": "<u4"}


def is_indexed(config: SourceKeys) -> bool:
    """Whether any of the token files is Megatron's."""
    return any(pair_of(Path(name).expanduser()) for name in (*config.train_tokens, *config.val_tokens))


@dataclass(frozen=True)
class TokenDocuments:
    """Token files and whether each is held out; None: documents are held out by hash."""

    files: tuple[tuple[Path, bool | None], ...]
    config: SourceKeys

    @classmethod
    def find(cls, config: SourceKeys) -> "TokenDocuments":
        """Raises InputError for files without index and without validation files."""
        train = _paths(config.train_tokens, "corpus.train_tokens")
        val = _paths(config.val_tokens, "corpus.val_tokens")
        if shared := sorted(set(train) & set(val)):
            raise InputError(f"{shared[0]}: in both train_tokens and val_tokens; remove it from one")
        if not val and (plain := [path for path in train if not pair_of(path)]):
            raise InputError(
                f"{plain[0]}: without index (.idx) its documents are unknown, so none can be held out; "
                "name validation files in corpus.val_tokens"
            )
        sides = [(path, False if val else None) for path in train] + [(path, True) for path in val]
        return cls(tuple(sides), config)

    @property
    def listing(self) -> list[Any]:
        stats = [(str(path), held_out, stat_of(path)) for path, held_out in self.files]
        return [self.config.token_dtype, [(name, side, now.st_size, now.st_mtime_ns) for name, side, now in stats]]

    @property
    def num_bytes(self) -> int | None:
        return sum(stat_of(path).st_size for path, _ in self.files)

    def read(self, start: Place) -> Iterator[Document]:
        for index, (path, held_out) in enumerate(self.files[start.file :], start.file):
            found = self._index(path)
            ids = np.memmap(path, dtype=found.dtype, mode="r")
            for row in range(start.row if index == start.file else 0, len(found.starts) - 1):
                begin, end = found.starts[row : row + 2]
                yield Document(Place(index, row + 1), ids[begin:end], held_out)

    def _index(self, path: Path) -> Index:
        """Documents of a file; of one without index, pieces of PIECE ids."""
        if pair := pair_of(path):
            return read_index(*pair)
        dtype = PLAIN[self.config.token_dtype]
        require_ids(path, dtype)
        ids = num_ids(path, dtype)
        return Index(path, dtype, np.append(np.arange(0, ids, PIECE), ids))


def _paths(patterns: tuple[str, ...], key: str) -> list[Path]:
    """The .bin files, whether named by .bin, .idx or what they share."""
    found: list[Path] = []
    for pattern in patterns:
        if pair := pair_of(Path(pattern).expanduser()):
            found.append(pair[0].resolve())
        else:
            found += [pair[0] if (pair := pair_of(path)) else path for path in expand([pattern], key)]
    return sorted(set(found))
