"""Each format gives the texts that were written to it, from any place on, and a bad one is named with a remedy."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lrladder.benchmark.config.corpus import SourceConfig
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.training.files import expand
from lrladder.benchmark.training.text.datasets import open_dataset
from lrladder.benchmark.training.text.documents import Place, Reader, TextDocuments
from tests.benchmark.training.text.written import TEXTS, json_lines, library, plain

ROWS = [{"text": text, "id": index} for index, text in enumerate(TEXTS)]


def reader_of(*paths: Path, **keys: Any) -> Reader:
    names = tuple(map(str, paths))
    return TextDocuments.find(expand(names, "corpus.text"), SourceConfig(text=names, weight=1, **keys))


def _packed(folder: Path, name: str) -> Path:
    """The JSON lines, compressed by pyarrow as the name says."""
    pyarrow = library("pyarrow")
    data = json_lines(folder / "plain").read_bytes()
    with pyarrow.output_stream(str(folder / name), compression="detect") as stream:
        stream.write(data)
    return folder / name


def _parquet(folder: Path) -> Path:
    pyarrow, parquet = library("pyarrow"), library("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), folder / "a.parquet", row_group_size=7)
    return folder / "a.parquet"


def _arrow(folder: Path, name: str, writer: str) -> Path:
    pyarrow = library("pyarrow")
    table = pyarrow.Table.from_pylist(ROWS)
    with getattr(pyarrow.ipc, writer)(str(folder / name), table.schema) as out:
        out.write_table(table, max_chunksize=5)
    return folder / name


RECORDS: dict[str, Callable[[Path], Path]] = {
    "jsonl": lambda folder: json_lines(folder / "a.jsonl"),
    "jsonl.gz": lambda folder: json_lines(folder / "a.jsonl.gz"),
    "jsonl.zst": lambda folder: _packed(folder, "a.jsonl.zst"),
    "parquet": _parquet,
    "arrow file": lambda folder: _arrow(folder, "a.arrow", "new_file"),
    "arrow stream": lambda folder: _arrow(folder, "b.arrow", "new_stream"),
}


@pytest.mark.parametrize("write", RECORDS.values(), ids=RECORDS)
def test_records_are_read_whole_and_from_any_place(write: Callable[[Path], Path], tmp_path: Path) -> None:
    library("pyarrow")
    reader = reader_of(write(tmp_path))
    documents = list(reader.read(Place()))
    assert [document.content for document in documents] == TEXTS
    for index in (0, 6, 22):
        assert [found.content for found in reader.read(documents[index].after)] == TEXTS[index + 1 :]


def test_plain_files_are_a_document_each_and_need_no_library(tmp_path: Path) -> None:
    plain(tmp_path / "texts")
    reader = reader_of(*(tmp_path / "texts").iterdir())
    documents = list(reader.read(Place()))
    assert sorted(str(document.content) for document in documents) == sorted(TEXTS)
    assert [found.content for found in reader.read(documents[4].after)] == [found.content for found in documents[5:]]


def test_a_compressed_text_file_is_one_document(tmp_path: Path) -> None:
    pyarrow = library("pyarrow")
    with pyarrow.output_stream(str(tmp_path / "a.txt.zst"), compression="detect") as stream:
        stream.write(TEXTS[0].encode())
    assert [found.content for found in reader_of(tmp_path / "a.txt.zst").read(Place())] == TEXTS[:1]


@pytest.mark.parametrize("splits", [False, True])
def test_a_saved_dataset_is_read_from_any_place(splits: bool, tmp_path: Path) -> None:
    datasets = library("datasets")
    datasets.disable_progress_bars()
    saved = datasets.Dataset.from_list(ROWS)
    (datasets.DatasetDict(train=saved, test=saved.select([0])) if splits else saved).save_to_disk(
        str(tmp_path / "saved")
    )
    config = SourceConfig(dataset=str(tmp_path / "saved"), weight=1)
    reader = open_dataset(config)
    assert [document.content for document in reader.read(Place())] == TEXTS
    assert [document.content for document in reader.read(Place(0, 20))] == TEXTS[20:]
    if splits:
        with pytest.raises(InputError, match=r"no split half; set corpus.split to train or test"):
            list(open_dataset(config.model_copy(update={"split": "half"})).read(Place()))
    with pytest.raises(InputError, match=r"no field body; it has text, id: set corpus.column"):
        list(open_dataset(config.model_copy(update={"column": "body"})).read(Place()))


def test_a_dataset_of_the_hub_is_streamed_at_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets, hub = library("datasets"), library("huggingface_hub")
    asked: dict[str, Any] = {}

    def load(name: str, subset: str | None, **keys: Any) -> Any:
        asked.update(keys, name=name, subset=subset)
        return datasets.Dataset.from_list(ROWS).to_iterable_dataset()

    class Api:
        def dataset_info(self, name: str, **keys: Any) -> Any:
            return hub.hf_api.DatasetInfo(id=name, sha="c0ffee")

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(hub, "HfApi", Api)
    monkeypatch.setattr(datasets, "load_dataset", load)
    reader = open_dataset(SourceConfig(dataset="team/web", subset="small", weight=1))
    assert [document.content for document in reader.read(Place(0, 3))] == TEXTS[3:]
    assert asked == {"name": "team/web", "subset": "small", "split": "train", "revision": "c0ffee", "streaming": True}
    assert "c0ffee" in reader.listing
    pinned = SourceConfig(dataset="team/web", revision="0" * 40, weight=1)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "0" * 40 in open_dataset(pinned).listing  # without asking


def test_a_hub_that_cannot_be_reached_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match="team/web is no folder here, and the Hugging Face hub cannot be reached"):
        open_dataset(SourceConfig(dataset="team/web", weight=1))


BAD: dict[str, tuple[str, str]] = {
    "another field": ('{"content": "x", "id": 3}\n', "no field text; it has content, id: set corpus.column"),
    "a number": ('{"text": "x"}\n{"text": 3}\n', "text holds another type than text"),
    "an array": ('[{"text": "x"}]', "looks like one JSON array, not JSON lines; write one object a line"),
    "no JSON": ('{"text": "x"}\nplain words\n', "cannot be read as jsonl .* in row 1"),
}


@pytest.mark.parametrize(("content", "says"), BAD.values(), ids=BAD)
def test_bad_records_name_their_file(content: str, says: str, tmp_path: Path) -> None:
    library("pyarrow")
    (tmp_path / "bad.jsonl").write_text(content)
    with pytest.raises(InputError, match=f"bad.jsonl: .*{says}") as caught:
        list(reader_of(tmp_path / "bad.jsonl").read(Place()))
    assert "\n" not in str(caught.value)


def test_records_of_nothing_are_empty_and_counted_as_read(tmp_path: Path) -> None:
    library("pyarrow")
    rows: list[dict[str, object]] = [{"text": "a"}, {"text": None}, {"other": 1}, {"text": ""}, {"text": "b"}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = list(reader_of(tmp_path / "a.jsonl").read(Place()))
    assert [document.content for document in found] == ["a", None, None, None, "b"]
    assert found[-1].after == Place(0, 5)
