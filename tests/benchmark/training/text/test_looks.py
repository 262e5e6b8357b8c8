"""What cannot be trained on says what it looks like and what to do."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from lrladder.benchmark.config.corpus import CorpusConfig
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.training.text.choice import source_of
from lrladder.benchmark.training.text.extras import library
from tests.benchmark.training.text.written import json_lines, megatron, own_tokenizer, plain


def refused(**keys: object) -> str:
    with pytest.raises(InputError) as caught:
        source_of(CorpusConfig(**keys))
    assert "\n" not in str(caught.value)
    return str(caught.value)


NO_TEXT = {
    "gzip": (b"\x1f\x8b\x08\x00", "looks like gzip; give its name the ending .gz"),
    "zip": (b"PK\x03\x04rest", "looks like a zip archive; unpack it"),
    "NumPy": (b"\x93NUMPY\x01\x00", "looks like a NumPy array; save its ids with"),
    "pickle": (pickle.dumps([1]), "looks like a pickle; save its text as JSON lines; pickles are never read"),
    "PDF": (b"%PDF-1.7", "looks like a PDF"),
    "UTF-16": ("text".encode("utf-16"), "looks like UTF-16; convert it"),
    "Megatron's index": (b"MMIDIDX\x00\x00", "looks like the index of Megatron tokens; name it in corpus.train_tokens"),
    "records": (b'{"content": "x", "id": 1}\n', "looks like JSON lines with content, id; name it .jsonl"),
}


@pytest.mark.parametrize(("content", "says"), NO_TEXT.values(), ids=NO_TEXT)
def test_a_file_that_is_no_text_is_named(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_bytes(content)
    assert f"data.txt: {says}" in refused(text=(plain(tmp_path / "texts"), str(tmp_path / "data.txt")))


def test_json_lines_are_text_only_where_the_config_says_so(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        json_lines(tmp_path / name)
    assert type(source_of(CorpusConfig(text=(f"{tmp_path}/*.jsonl",)))).__name__ == "Mixture"
    as_it_stands = source_of(CorpusConfig(text=(f"{tmp_path}/*.jsonl",), format="text"))
    assert type(as_it_stands).__name__ == "TextFiles"


def test_places_that_are_no_files(tmp_path: Path) -> None:
    plain(tmp_path / "texts")
    assert f"a folder; corpus.text takes files or globs such as {tmp_path}/texts/**/*.txt" in refused(
        text=(f"{tmp_path}/texts",)
    )
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "state.json").write_text("{}")
    assert "a dataset that save_to_disk wrote; set corpus.dataset" in refused(text=(f"{tmp_path}/saved",))
    assert "if it is a dataset's name on the Hugging Face hub, set corpus.dataset" in refused(text=("team/web",))
    assert "is a folder; corpus.text takes files" in refused(dataset=f"{tmp_path}/texts")
    assert "is no folder, and no name" in refused(dataset=f"{tmp_path}/absent")
    own_tokenizer(tmp_path / "own")
    assert "looks like a tokenizer; name it in corpus.tokenizer" in refused(text=(f"{tmp_path}/own/tokenizer.json",))


def test_wide_ids_that_are_read_as_narrow_ones(tmp_path: Path) -> None:
    """Megatron's int32 at the default uint16 would be twice the tokens, every second one 0."""
    ids = np.arange(1, 201)
    for dtype in ("<u2", "<i4", "<i8"):
        for part in ("train", "val"):
            ids.astype(dtype).tofile(tmp_path / f"{part}{dtype[1:]}.bin")

    def said(kind: str, **keys: object) -> str:
        train, val = (str(tmp_path / f"{part}{kind}.bin") for part in ("train", "val"))
        source = source_of(CorpusConfig(train_tokens=(train,), val_tokens=(val,), vocab_size=300, **keys))
        with pytest.raises(InputError) as caught:
            source.build(tmp_path)
        return str(caught.value)

    assert "every second id is 0, so its ids have 4 bytes, not 2; set corpus.token_dtype: uint32" in said("i4")
    assert "every second id is 0" in said("i8") and "save them as uint32" in said("i8", token_dtype="uint32")
    assert "is not below corpus.vocab_size 300" in said("u2", token_dtype="uint32")


def test_files_that_are_no_tokens(tmp_path: Path) -> None:
    json_lines(tmp_path / "a.bin")
    np.save(tmp_path / "b.npy", np.arange(100))
    np.arange(100, dtype="<u2").tofile(tmp_path / "val.bin")
    for name, says in (("a.bin", "looks like text"), ("b.npy", "looks like a NumPy array")):
        source = source_of(CorpusConfig(train_tokens=(f"{tmp_path}/{name}",), val_tokens=(f"{tmp_path}/val.bin",)))
        with pytest.raises(InputError, match=f"{name}: {says}, not like token ids"):
            source.build(tmp_path)


def test_keys_that_contradict_each_other(tmp_path: Path) -> None:
    text, tokens = plain(tmp_path / "texts"), megatron(tmp_path / "ids", [[1, 2], [3]])
    assert "text and dataset are both given; keep one of them, or name them under corpus.sources" in refused(
        text=(text,), dataset="team/web"
    )
    assert "token files hold ids already" in refused(train_tokens=(f"{tokens}.bin",), tokenizer="x")
    assert "the default text has one of its own" in refused(tokenizer="x")
    assert "each names one of text, dataset and train_tokens" in refused(sources={"a": {"weight": 1}})
    both = {"a": {"text": [text], "weight": 1}, "b": {"train_tokens": [f"{tokens}.bin"], "weight": 1}}
    assert "name in corpus.tokenizer what made the ids" in refused(sources=both)


def test_a_library_that_is_missing_is_named_with_its_extra() -> None:
    with pytest.raises(InputError, match=r"a.parquet: needs the library nowhere, which .*'.\[data\]'"):
        library("nowhere.there", "data", "a.parquet")
