"""Texts and tokens in the formats that teams keep them in, written for the tests."""

import gzip
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from lrladder.benchmark.training.encoding import train_bpe

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "naïve", "λ", "語", "<|endoftext|>"]
CODES = {"<u1": 1, "<i2": 3, "<i4": 4, "<i8": 5, "<u2": 8}  # megatron/core/datasets/indexed_dataset.py, DType


def text_of(seed: int, words: int = 120) -> str:
    return " ".join(np.random.default_rng(seed).choice(WORDS, words)) + "\n"


TEXTS = [text_of(seed) for seed in range(24)]


def library(name: str) -> Any:
    """A library of the extra `data`; without it the test is skipped."""
    return pytest.importorskip(name, reason="the extra `data` is not installed")


def json_lines(path: Path, texts: Sequence[str] = TEXTS, column: str = "text") -> Path:
    """Records with a second field whose type changes from line to line."""
    lines = [
        json.dumps({"meta": index if index % 2 else {"at": index}, column: text}) for index, text in enumerate(texts)
    ]
    data = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def plain(folder: Path, texts: Sequence[str] = TEXTS) -> str:
    """One file a text. Returns the pattern of all."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, text in enumerate(texts):
        (folder / f"{index}.txt").write_bytes(text.encode())
    return f"{folder}/*.txt"


def megatron(path: Path, documents: Sequence[Sequence[int]], dtype: str = "<i4") -> Path:
    """PATH.bin and PATH.idx as Megatron lays them out, a sequence a document."""
    np.concatenate([np.array(ids, dtype) for ids in documents]).tofile(path.with_suffix(".bin"))
    lengths = np.array([len(ids) for ids in documents], "<i4")
    places = np.concatenate([[0], np.cumsum(lengths[:-1], dtype="<i8")]) * np.dtype(dtype).itemsize
    head = struct.pack("<9sQBQQ", b"MMIDIDX\x00\x00", 1, CODES[dtype], len(documents), len(documents) + 1)
    arrays = (lengths, places.astype("<i8"), np.arange(len(documents) + 1, dtype="<i8"))
    path.with_suffix(".idx").write_bytes(head + b"".join(array.tobytes() for array in arrays))
    return path


def own_tokenizer(folder: Path, **settings: object) -> Tokenizer:
    """A tokenizer.json in `folder`, and a tokenizer_config.json with the settings."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = train_bpe([*TEXTS, " ".join(f"word{index}s" for index in range(300))], 320)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return tokenizer
