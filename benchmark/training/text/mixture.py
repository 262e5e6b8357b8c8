"""A corpus of documents: one source or several with weights, tokenised once and cached."""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import tokenizers
from tokenizers import Tokenizer

from lrladder.benchmark.config.corpus import CorpusConfig, SourceKeys
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.training.encoding import BPE_SAMPLE, END_OF_TEXT, parallel, train_bpe
from lrladder.benchmark.training.entry import PLACES, TOKENIZER
from lrladder.benchmark.training.files import FORMAT, expand, hash_bytes, stable_hash
from lrladder.benchmark.training.text.assembly import Part, assemble
from lrladder.benchmark.training.text.datasets import Hub, open_dataset
from lrladder.benchmark.training.text.documents import Place, Reader, TextDocuments
from lrladder.benchmark.training.text.progress import Show
from lrladder.benchmark.training.text.spool import Spool
from lrladder.benchmark.training.text.token_documents import TokenDocuments
from lrladder.benchmark.training.text.tokenizer import OwnTokenizer


@dataclass(frozen=True)
class Source:
    """One source. `share`: of the training tokens, and of the bytes that are read."""

    name: str
    weight: float
    share: float
    reader: Reader


@dataclass(frozen=True)
class Mixture:
    """The documents of all sources, in the order of the sources' names."""

    config: CorpusConfig
    sources: tuple[Source, ...]
    own: OwnTokenizer | None
    places: ClassVar[dict[str, str]] = PLACES  # in the entry

    @classmethod
    def find(cls, config: CorpusConfig) -> "Mixture":
        """Raises InputError for sources that are not there, or that do not go together."""
        given: Mapping[str, SourceKeys] = config.sources or {"": config}
        total = sum(getattr(source, "weight", 1.0) for source in given.values())
        sources = []
        for name, source in sorted(given.items()):
            weight = getattr(source, "weight", 1.0)
            sources.append(Source(name or _name(source), weight, weight / total, _reader(source)))
        kinds = {isinstance(source.reader, TokenDocuments) for source in sources}
        if len(kinds) == 2 and not config.tokenizer:
            raise InputError(
                "corpus.sources: some are text and some token ids; name in corpus.tokenizer what made the ids"
            )
        return cls(config, tuple(sources), OwnTokenizer.open(config) if config.tokenizer else None)

    @cached_property
    def key(self) -> str:
        """Name of the cache entry. It depends on all that decides the tokens: files by size and time, not content."""
        config = self.config
        tokenizer = self.own.digest if self.own else "trained"
        settings = [config.vocab_size, config.val_fraction, config.max_bytes, tokenizer, tokenizers.__version__]
        listed = [(source.name, source.weight, source.reader.listing) for source in self.sources]
        return stable_hash("mixture", json.dumps([FORMAT, settings, listed]))[:20]

    @contextlib.contextmanager
    def alone(self, cache: Path, say: Callable[[str], None]) -> Iterator[None]:
        """Wait until no other process prepares this corpus; its half-done work is then there to go on with."""
        folder = self._spool(cache)
        while True:
            folder.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                _lock(descriptor, lambda: say("Another process prepares this corpus. Waiting for it ..."))
                if _is_still(folder, descriptor):
                    for torn in cache.glob(f".building-{self.key}-*"):  # of a process that was killed
                        shutil.rmtree(torn, ignore_errors=True)
                    yield
                    shutil.rmtree(folder, ignore_errors=True)
                    return
            finally:
                os.close(descriptor)

    def build(self, folder: Path, show: Show) -> dict[str, Any]:
        """Write train.bin, val.bin and, for text, tokenizer.json. Returns the manifest."""
        spool = self._spool(folder.parent)
        tokenizer = self._tokenizer(spool)
        dtype = "<u2" if self.config.vocab_size <= 65536 else "<u4"
        parts = []
        for index, source in enumerate(self.sources):
            limit = int(self.config.max_bytes * source.share)
            place = (spool / str(index), source.name, source.reader)
            filled = Spool(*place, tokenizer, self.config.vocab_size, dtype, limit)
            state = filled.fill(show)
            parts.append(Part.of(filled, source.weight, state))
        found = assemble(parts, folder, dtype, self.config.val_fraction)
        head = {"source": _described(self.sources), "vocab_size": self.config.vocab_size, "dtype": dtype}
        if commits := {one.name: one.reader.commit for one in self.sources if isinstance(one.reader, Hub)}:
            head["commits"] = commits
        if tokenizer:
            tokenizer.tokenizer.save(str(folder / TOKENIZER))
            head["tokenizer_size"] = tokenizer.size
        return head | {"paths": dict(self.places)} | found

    def _spool(self, cache: Path) -> Path:
        return cache / f".preparing-{self.key}"

    def _tokenizer(self, spool: Path) -> OwnTokenizer | None:
        """The user's, else a byte-level BPE of these texts, which a continued preparation finds again."""
        parallel()
        if self.own or all(isinstance(source.reader, TokenDocuments) for source in self.sources):
            return self.own
        path = spool / TOKENIZER
        if not path.exists():
            texts = list(self._sample(least=2**63)) or list(self._sample(least=0))  # hashes are below 2^64
            trained = train_bpe(texts, self.config.vocab_size)
            trained.save(str(spool / "new.json"))
            os.replace(spool / "new.json", path)
        return OwnTokenizer.of(Tokenizer.from_file(str(path)), END_OF_TEXT)

    def _sample(self, least: int) -> Iterator[str]:
        """Texts to train the BPE on, of each source its share. Held-out ones, whose hashes are smallest, are not in."""
        for source in self.sources:
            left = round(BPE_SAMPLE * source.share)
            for document in source.reader.read(Place()):
                text = document.content
                if left <= 0:
                    break
                if isinstance(text, str) and hash_bytes("split", text.encode("utf-8", "replace")) >= least:
                    yield text[:left]
                    left -= len(text)


def _name(source: SourceKeys) -> str:
    return source.dataset or "corpus"


def _reader(source: SourceKeys) -> Reader:
    """Raises InputError unless exactly one kind of source is given."""
    given = [key for key in ("text", "dataset", "train_tokens") if getattr(source, key)]
    if len(given) != 1:
        there = " and ".join(given) or "none"
        raise InputError(f"corpus.sources: each names one of text, dataset and train_tokens, and here is {there}")
    if source.dataset:
        return open_dataset(source)
    if source.train_tokens:
        return TokenDocuments.find(source)
    return TextDocuments.find(expand(source.text, "corpus.text"), source)


def _described(sources: tuple[Source, ...]) -> str:
    if len(sources) == 1:
        return sources[0].name
    return "mixture of " + ", ".join(f"{source.name} ({source.share:.1%})" for source in sources)


def _lock(descriptor: int, waiting: Callable[[], None]) -> None:
    """Lock a folder, where its file system can; elsewhere two processes do the same work side by side."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        waiting()
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:
        return


def _is_still(folder: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(folder.stat(), os.fstat(descriptor))
    except OSError:
        return False
