"""Sources of tokens: text files with a byte-level BPE trained on them, or token files."""

import hashlib
import os
import platform
import sysconfig
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tokenizers
from tokenizers import Tokenizer

from lrladder.benchmark.config.corpus import CorpusConfig
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.training import overlap
from lrladder.benchmark.training.encoding import END_OF_TEXT, encode, train_bpe
from lrladder.benchmark.training.entry import PLACES, TOKENIZER
from lrladder.benchmark.training.files import (
    chunks,
    entry_key,
    expand,
    named,
    num_ids,
    outside,
    read_text,
    sha256_of,
    stable_hash,
    stat_of,
)
from lrladder.benchmark.training.text.looks import require_ids
from lrladder.benchmark.training.text.progress import Show, silent
from lrladder.benchmark.training.tiktoken_ids import coder_of

CHARACTERS = 2_000_000  # of the texts that are encoded together, to limit memory


@dataclass(frozen=True)
class TextFiles:
    """Text files to train on. They are ordered by the hash of their names, so that any prefix is a random sample."""

    config: CorpusConfig
    files: tuple[tuple[str, Path], ...]  # (name, path) of those that are used
    found: int  # number of all files, before corpus.max_bytes is applied
    key: str  # name of the cache entry
    places: ClassVar[dict[str, str]] = PLACES  # in the entry

    @classmethod
    def find(cls, config: CorpusConfig) -> "TextFiles":
        found = named(expand(config.text, "corpus.text")) if config.text else _python_sources(config.packages)
        sized = [(name, path, size) for name, path in found if (size := stat_of(path).st_size)]
        sized.sort(key=lambda file: stable_hash("sample", file[0]))
        totals = np.cumsum([size for *_, size in sized], dtype=np.int64)
        files = tuple(
            (name, path) for (name, path, _), total in zip(sized, totals, strict=True) if total <= config.max_bytes
        )
        if not sized:
            raise InputError(f"corpus: all of the {len(found)} files are empty; give files with text")
        if len(sized) < 2:
            raise InputError(
                f"{sized[0][1]}: the only file with text; validation is split off by file, so give at least 2 files"
            )
        if len(files) < 2:
            raise InputError(
                f"corpus.max_bytes {config.max_bytes:,} has room for fewer than 2 files; raise it, or split files"
            )
        settings = [config.vocab_size, config.val_fraction, tokenizers.__version__, bool(config.text)]
        return cls(config, files, len(found), entry_key("text", settings, files))

    def build(self, folder: Path, show: Show = silent) -> dict[str, Any]:
        """Write train.bin, val.bin and tokenizer.json. Returns the manifest."""
        texts = dict(self._read())
        train, val = _split(list(texts), self.config.val_fraction)
        tokenizer = train_bpe((texts[name] for name in train), self.config.vocab_size)
        tokenizer.save(str(folder / TOKENIZER))
        dtype = "<u2" if self.config.vocab_size <= 65536 else "<u4"
        val_offsets = _write_tokens(tokenizer, [texts[name] for name in val], folder / "val.bin", dtype)
        train_offsets = _write_tokens(tokenizer, [texts[name] for name in train], folder / "train.bin", dtype)
        held_out = {texts[name] for name in val}
        copies = {index for index, name in enumerate(train) if texts[name] in held_out}
        kept, shared = overlap.drop(folder, dtype, train_offsets, val_offsets, copies)
        parts = {"train": [train[index] for index in kept], "val": val}
        counts = {"found": self.found, "chosen": len(self.files), "skipped": len(self.files) - len(texts)}
        dropped = {"dropped": len(train) - len(kept)}
        tokens = {"train": train_offsets[-1] - shared["dropped_tokens"], "val": val_offsets[-1]}
        return {
            "source": self._source(),
            "files": counts | dropped | {part: len(names) for part, names in parts.items()},
            "bytes": {part: sum(len(texts[name].encode()) for name in names) for part, names in parts.items()},
            "tokens": tokens,
            "tokenizer_size": tokenizer.get_vocab_size(),
            "vocab_size": self.config.vocab_size,
            "dtype": dtype,
            "paths": dict(self.places),
            "sha256": {part: sha256_of(folder / f"{part}.bin") for part in parts},
            "overlap": shared,
            "val_offsets": val_offsets,
        }

    def _source(self) -> str:
        if self.config.text:
            return "text"
        return f"stdlib of Python {platform.python_version()}{' and packages' if self.config.packages else ''}"

    def _read(self) -> Iterator[tuple[str, str]]:
        seen: set[str] = set()
        for name, path in self.files:
            try:
                text = read_text(path)
            except InputError:
                if self.config.text:  # only files of the library are skipped, not those of the user
                    raise
                continue
            if self.config.packages:  # packages contain copies of each other, which could be on both sides of the split
                if (digest := stable_hash("text", text)) in seen:
                    continue
                seen.add(digest)
            yield name, text


@dataclass(frozen=True)
class TokenFiles:
    """Ready files of token ids. A single file is used in place; several files of a part are joined in the cache."""

    config: CorpusConfig
    parts: dict[str, list[Path]]  # files of train and val
    key: str  # name of the cache entry

    @classmethod
    def find(cls, config: CorpusConfig) -> "TokenFiles":
        train = expand(config.train_tokens, "corpus.train_tokens")
        val = expand(config.val_tokens, "corpus.val_tokens")
        if shared := sorted(set(train) & set(val)):
            raise InputError(
                f"{shared[0]}: in both train_tokens and val_tokens; validation must be held out, so remove it from one"
            )
        files = [(part, path) for part, paths in (("train", train), ("val", val)) for path in paths]
        return cls(
            config, {"train": train, "val": val}, entry_key("tokens", [config.token_dtype, config.vocab_size], files)
        )

    @property
    def places(self) -> dict[str, str]:
        """Where the tokens of each part are, relative to the entry."""
        return {part: str(files[0]) if len(files) == 1 else f"{part}.bin" for part, files in self.parts.items()}

    def build(self, folder: Path, show: Show = silent) -> dict[str, Any]:
        """Check all ids, and join parts that have several files. Returns the manifest."""
        dtype = {"uint16": "<u2", "uint32": "<u4"}[self.config.token_dtype]
        paths, hashes = self.places, {}
        for part, files in self.parts.items():
            hashes[part] = self._check(files, dtype, None if len(files) == 1 else folder / f"{part}.bin")
        sizes = {part: sum(stat_of(path).st_size for path in files) for part, files in self.parts.items()}
        tokens = {part: size // np.dtype(dtype).itemsize for part, size in sizes.items()}
        return {
            "source": "tokens",
            "overlap": overlap.record(folder / paths["train"], folder / paths["val"], dtype),
            "files": {part: len(files) for part, files in self.parts.items()},
            "bytes": sizes,
            "tokens": tokens,
            "vocab_size": self.config.vocab_size,
            "dtype": dtype,
            "paths": paths,
            "sha256": hashes,
            "val_offsets": [0, tokens["val"]],  # one document; windows are spread over all of it
        }

    def _check(self, files: list[Path], dtype: str, joined: Path | None) -> str:
        digest = hashlib.sha256()
        with open(joined or os.devnull, "wb") as out:
            for path in files:
                require_ids(path, dtype)
                num_ids(path, dtype)  # must be whole
                for chunk in chunks(path, dtype):
                    if (top := int(chunk.max())) >= self.config.vocab_size:
                        raise outside(path, top, self.config.vocab_size)
                    digest.update(chunk.data)
                    if joined:
                        out.write(chunk.data)
        return digest.hexdigest()


def _write_tokens(tokenizer: Tokenizer, texts: list[str], path: Path, dtype: str) -> list[int]:
    """Write the ids of the texts, with the end marker after each. Returns offsets [len(texts) + 1] in tokens."""
    end = tokenizer.token_to_id(END_OF_TEXT)
    assert end is not None
    offsets, code = [0], coder_of(tokenizer)
    with path.open("wb") as out:
        for ids in chain.from_iterable(encode(code, end, some) for some in _together(texts)):
            out.write(np.array(ids, dtype=dtype).data)
            offsets.append(offsets[-1] + len(ids))
    return offsets


def _together(texts: list[str]) -> Iterator[list[str]]:
    """The texts in parts of about CHARACTERS, each of which is encoded on all cores."""
    part, size = list[str](), 0
    for text in texts:
        part.append(text)
        size += len(text)
        if size >= CHARACTERS:
            yield part
            part, size = [], 0
    yield part


def _split(names: list[str], fraction: float) -> tuple[list[str], list[str]]:
    """Names for training and validation, in the given order. A hash of the name decides between them."""
    if len(names) < 2:
        raise InputError(
            "corpus: fewer than 2 files can be read; validation text is split off by file, so give at least 2"
        )
    count = min(max(1, round(fraction * len(names))), len(names) - 1)
    held_out = set(sorted(names, key=lambda name: stable_hash("split", name))[:count])
    return [name for name in names if name not in held_out], [name for name in names if name in held_out]


def _python_sources(packages: bool) -> list[tuple[str, Path]]:
    """Source files of the running Python's standard library and, with `packages`, of the installed packages."""
    places = sysconfig.get_paths()
    root = Path(places["stdlib"])
    named = _sources_below(root, leave_out=("site-packages", "dist-packages"))
    if not named:
        raise InputError(f"{root}: this Python has no library sources; set corpus.text")
    for folder in sorted({places["purelib"], places["platlib"]}) if packages else ():
        found = _sources_below(Path(folder))
        named |= {f"packages/{name}": path for name, path in found.items()}
    return sorted(named.items())


def _sources_below(root: Path, leave_out: Collection[str] = ()) -> dict[str, Path]:
    """Paths by their names below the root. Links to folders are not followed, folders called `leave_out` not read."""
    found = dict[str, Path]()
    for folder, folders, files in os.walk(root):  # five times as fast as Path.rglob
        folders[:] = [name for name in folders if name not in leave_out]
        paths = [os.path.join(folder, name) for name in files if name.endswith(".py")]
        found |= {os.path.relpath(path, root): Path(path) for path in paths if os.path.isfile(path)}
    return found
