"""What a file looks like by its name and first bytes, and what to do about it."""

import json
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lrladder.benchmark.config.corpus import Format
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.reading import open_for_reading, why

HEAD = 1 << 16  # bytes of a file that are looked at
FEW = 8  # ids that are too few to say how wide they are
COMPRESSED = (".gz", ".zst", ".bz2", ".lz4")  # what pyarrow opens by name
KINDS: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}
BINARY: dict[bytes, Format] = {b"PAR1": "parquet", b"ARROW1": "arrow"}
INDEX = b"MMIDIDX\x00\x00"  # first bytes of Megatron's .idx (megatron/core/datasets/indexed_dataset.py)
LLM_C = struct.pack("<i", 20240520)  # first bytes of llm.c's and modded-nanogpt's token files (llm.c, dev/data)
AS_IT_STANDS = "or set corpus.format: text to train on it as it stands"


class Look(NamedTuple):
    """What a file is, and what to do with it."""

    what: str
    remedy: str


UTF_16 = Look("UTF-16", "convert it with `iconv -f UTF-16 -t UTF-8`")
PICKLE = Look("a pickle", "save its text as JSON lines; pickles are never read, since they can run code")
MAGIC = {
    b"PAR1": Look("Parquet", "name it in corpus.text"),
    b"ARROW1": Look("an Arrow file", "name it in corpus.text"),
    INDEX: Look("the index of Megatron tokens", "name it in corpus.train_tokens"),
    LLM_C: Look(
        "tokens of llm.c with a header of 1,024 bytes",
        "cut that off with `tail -c +1025` and name the rest in corpus.train_tokens",
    ),
    b"\x1f\x8b": Look("gzip", "give its name the ending .gz"),
    b"\x28\xb5\x2f\xfd": Look("Zstandard", "give its name the ending .zst"),
    b"BZh": Look("bzip2", "give its name the ending .bz2"),
    b"PK\x03\x04": Look("a zip archive", "unpack it"),
    b"\x93NUMPY": Look("a NumPy array", "save its ids with `array.astype('<u2').tofile('train.bin')`"),
    b"\x80\x04\x95": PICKLE,
    b"\x80\x05\x95": PICKLE,
    b"%PDF": Look("a PDF", "extract its text first"),
    b"SQLite format 3": Look("an SQLite database", "export its text as JSON lines"),
    b"\x89HDF": Look("HDF5", "export its text as JSON lines"),
    b"\xff\xfe": UTF_16,
    b"\xfe\xff": UTF_16,
}
TABLES = (".csv", ".tsv")


def unreadable(path: Path, error: Exception) -> InputError:
    """The refusal of a file that cannot be read."""
    return InputError(f"{path}: cannot be read: {why(error)}; make it readable or leave it out")


def head_of(path: Path) -> bytes:
    """The first HEAD bytes. Raises InputError for what cannot be read."""
    try:
        with open_for_reading(path) as file:
            return file.read(HEAD)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error


def kind_of(path: Path, given: Format) -> Format:
    """How a file of `corpus.text` is read; never "auto". Raises InputError for what is no text."""
    if given != "auto":
        return given
    name = path.with_suffix("") if path.suffix in COMPRESSED else path
    if kind := KINDS.get(name.suffix.lower()):
        return kind
    if name != path:
        return "text"
    head = head_of(path)
    for magic, binary in BINARY.items():
        if head.startswith(magic):
            return binary
    if look := _no_text(path, head):
        raise InputError(f"{path}: looks like {look.what}; {look.remedy}")
    return "text"


def _no_text(path: Path, head: bytes) -> Look | None:
    if look := magic_of(head):
        return look
    if path.suffix in TABLES:
        return Look("a table", f"write its text as JSON lines or Parquet, {AS_IT_STANDS}")
    if head.lstrip()[:1] == b"{" and (look := _json(head)):
        return look
    if path.suffix == ".json":
        remedy = f"write one object a line, as `jq -c '.[]'` does, and name it .jsonl, {AS_IT_STANDS}"
        return Look("one JSON document", remedy)
    return None


def magic_of(head: bytes, least: int = 1) -> Look | None:
    """What the first bytes of a binary file say, by signatures of at least `least` bytes."""
    return next((look for magic, look in MAGIC.items() if len(magic) >= least and head.startswith(magic)), None)


def _json(head: bytes) -> Look | None:
    """Records or a tokenizer where plain text was expected."""
    if b'"truncation"' in head and b'"added_tokens"' in head:
        return Look("a tokenizer", "name it in corpus.tokenizer")
    first = head.lstrip().split(b"\n", 1)[0]
    try:
        record = json.loads(first)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    return Look(f"JSON lines with {_listed(record)}", f"name it .jsonl, or set corpus.format: jsonl, {AS_IT_STANDS}")


def _listed(names: Sequence[str] | dict[str, object]) -> str:
    return ", ".join(list(names)[:6]) or "no field"


def require_ids(path: Path, dtype: str) -> None:
    """Raise InputError for a file of token ids without index that looks like something else, or like wider ids."""
    head = head_of(path)
    look = magic_of(head, least=4)  # ids may begin with any two bytes
    if look:
        raise InputError(f"{path}: looks like {look.what}, not like token ids; {look.remedy}")
    if len(head) >= 2 * FEW and not re.search(rb"[^\t\n\r\x20-\x7e]", head):
        raise InputError(f"{path}: looks like text, not like token ids; name it in corpus.text")
    item = np.dtype(dtype).itemsize
    ids = np.frombuffer(head, dtype, len(head) // item)
    if len(ids) >= FEW and not ids[1::2].any() and ids[::2].any():
        remedy = "set corpus.token_dtype: uint32" if item == 2 else "save them as uint32"
        raise InputError(f"{path}: every second id is 0, so its ids have {2 * item} bytes, not {item}; {remedy}")


def why_no_file(pattern: str, key: str) -> str:
    """What a `pattern` that names no file may have been meant as, to put at the end of a message."""
    if key == "corpus.text" and re.fullmatch(r"[\w.-]+/[\w.-]+", pattern) and not Path(pattern).suffix:
        return "; if it is a dataset's name on the Hugging Face hub, set corpus.dataset"
    return ""


def of_folder(folder: Path, key: str) -> str:
    """What to write instead of a folder."""
    if is_saved(folder):
        return "a dataset that save_to_disk wrote; set corpus.dataset to it"
    if (folder / "manifest.json").is_file() and (folder / "train.bin").is_file():
        return "a corpus that `lrladder prepare` wrote; set corpus.prepared to it"
    return f"a folder; {key} takes files or globs such as {folder}/**/*{_commonest(folder)}"


def is_saved(folder: Path) -> bool:
    """Whether datasets' save_to_disk wrote this folder."""
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))


def _commonest(folder: Path) -> str:
    """The ending of most files in a folder."""
    endings = sorted(path.suffix for path in folder.glob("*") if path.is_file() and path.suffix)
    return max(endings, key=endings.count, default=".txt")
