"""Tokens of one source, written step by step: after a kill the next process goes on behind the last whole step."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from lrladder.benchmark.folders import write_text
from lrladder.benchmark.reading import CONFIG_BYTES, read_text
from lrladder.benchmark.training.encoding import encode
from lrladder.benchmark.training.files import hash_bytes, outside
from lrladder.benchmark.training.text.documents import Document, Place, Reader
from lrladder.benchmark.training.text.progress import Progress, Show
from lrladder.benchmark.training.text.tokenizer import OwnTokenizer

STEP_BYTES = 4_000_000  # of text between two steps: seconds of work that a kill can cost
STEP_DOCUMENTS = 20_000
RECORD = np.dtype([("tokens", "<i8"), ("bytes", "<i8"), ("hash", "<u8"), ("held_out", "<i1")])  # -1: not known
TOKENS, DOCUMENTS, STATE = "tokens.bin", "documents.bin", "state.json"


class State(BaseModel):
    """How far a source is. `cut`: there is more than the limit lets in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: int = 0
    row: int = 0
    documents: int = 0
    empty: int = 0
    num_bytes: int = 0
    tokens: int = 0
    ended: bool = False
    cut: bool = False


@dataclass(frozen=True)
class Spool:
    """The tokens and documents of a source in `folder`. `limit`: bytes of text, at most."""

    folder: Path
    name: str
    reader: Reader
    tokenizer: OwnTokenizer | None
    vocab_size: int
    dtype: str
    limit: int

    def fill(self, show: Show) -> State:
        """Read what is missing, to the end or the limit. Raises InputError for what cannot be read."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        state = self._restored()
        most = min(self.limit, self.reader.num_bytes or self.limit)
        if state.ended:
            return state
        for batch, after in self._batches(state):
            self._write(batch, after)
            show(Progress(self.name, after.num_bytes, most, after.tokens))
            state = after
        return state

    @property
    def tokens(self) -> npt.NDArray[Any]:
        return np.memmap(self.folder / TOKENS, self.dtype, mode="r")

    @property
    def records(self) -> npt.NDArray[Any]:
        return np.fromfile(self.folder / DOCUMENTS, RECORD)

    def _batches(self, state: State) -> Iterator[tuple["Batch", State]]:
        """What to write in each step, with the state after it."""
        batch = Batch()
        values = state.model_dump()
        for document in self.reader.read(Place(state.file, state.row)):
            if document.content is not None and values["num_bytes"] + batch.num_bytes + size(document) > self.limit:
                values |= {"cut": True}
                break
            batch.add(document)
            if batch.num_bytes >= STEP_BYTES or len(batch.documents) + batch.empty >= STEP_DOCUMENTS:
                values = self._coded(batch, values)
                yield batch, State(**values)
                batch = Batch()
        yield batch, State(**self._coded(batch, values) | {"ended": True})

    def _coded(self, batch: "Batch", values: dict[str, Any]) -> dict[str, Any]:
        """Turn the batch into ids. Returns the values of the state after it."""
        batch.ids = [np.asarray(ids, self.dtype) for ids in self._ids(batch.documents)]
        added = {
            "documents": len(batch.documents),
            "empty": batch.empty,
            "num_bytes": batch.num_bytes,
            "tokens": sum(map(len, batch.ids)),
        }
        place = batch.after._asdict() if batch.after else {}
        return values | {key: values[key] + number for key, number in added.items()} | place

    def _ids(self, documents: Sequence[Document]) -> Iterable[Any]:
        texts = [document.content for document in documents if isinstance(document.content, str)]
        if texts:
            assert self.tokenizer is not None and len(texts) == len(documents)
            return encode(self.tokenizer.code, self.tokenizer.end, texts)
        return [self._known(document.content) for document in documents]

    def _known(self, ids: Any) -> Any:
        """The ids, which must all be in the vocabulary."""
        low, top = int(ids.min()), int(ids.max())
        if low < 0 or top >= self.vocab_size:
            raise outside(self.name, low if low < 0 else top, self.vocab_size)
        return ids

    def _write(self, batch: "Batch", state: State) -> None:
        """Append the ids and records, then the state that counts them."""
        _append(self.folder / TOKENS, [ids.data for ids in batch.ids])
        records = [
            (len(ids), size(document), _hash(document), -1 if document.held_out is None else document.held_out)
            for ids, document in zip(batch.ids, batch.documents, strict=True)
        ]
        _append(self.folder / DOCUMENTS, [np.array(records, RECORD).tobytes()])
        write_text(self.folder / STATE, state.model_dump_json())

    def _restored(self) -> State:
        """The last whole step; files are cut to it. A start from nothing where there is none."""
        try:
            state = State.model_validate_json(read_text(self.folder / STATE, CONFIG_BYTES))
            sizes = {TOKENS: state.tokens * np.dtype(self.dtype).itemsize, DOCUMENTS: state.documents * RECORD.itemsize}
            whole = all((self.folder / name).stat().st_size >= size for name, size in sizes.items())
        except (OSError, ValueError, ValidationError):
            whole = False
        if not whole:
            state, sizes = State(), {TOKENS: 0, DOCUMENTS: 0}
        for name, size in sizes.items():
            with (self.folder / name).open("ab") as file:
                file.truncate(size)
        return state


class Batch:
    """Documents of one step. `after`: the place behind the last; None: nothing was read."""

    def __init__(self) -> None:
        self.documents: list[Document] = []
        self.ids: list[npt.NDArray[Any]] = []
        self.empty = self.num_bytes = 0
        self.after: Place | None = None

    def add(self, document: Document) -> None:
        self.after = document.after
        if document.content is None or not len(document.content):
            self.empty += 1
            return
        self.documents.append(document)
        self.num_bytes += size(document)


def size(document: Document) -> int:
    """Bytes of the text, or of the ids as they are stored."""
    content = document.content
    if content is None:
        return 0
    return len(content.encode("utf-8", "replace")) if isinstance(content, str) else int(content.nbytes)


def _hash(document: Document) -> int:
    """Of the content, so that copies of a document are on one side."""
    content = document.content
    data = content.encode("utf-8", "replace") if isinstance(content, str) else np.asarray(content, "<u4").tobytes()
    return hash_bytes("split", data)


def _append(path: Path, pieces: Iterable[Any]) -> None:
    with path.open("ab") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
