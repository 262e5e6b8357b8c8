"""Datasets of the Hugging Face library: a folder that `save_to_disk` wrote, or a name on the hub, which is streamed."""

import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrladder.benchmark.config.corpus import SourceKeys
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.reading import why
from lrladder.benchmark.training.files import stat_of
from lrladder.benchmark.training.text.documents import Document, Place, Reader, checked, require_column
from lrladder.benchmark.training.text.extras import library
from lrladder.benchmark.training.text.looks import is_saved, of_folder

OFFLINE = ("1", "on", "yes", "true")  # values of HF_HUB_OFFLINE (huggingface_hub/constants.py)
TIMEOUT = 20.0  # seconds for the hub to say which commit a name stands for


def open_dataset(config: SourceKeys) -> Reader:
    """Raises InputError for a folder that is no saved dataset, and for a name that cannot be reached."""
    folder = Path(config.dataset).expanduser()
    if folder.is_dir():
        if not is_saved(folder):
            raise InputError(f"corpus.dataset: {folder} is {of_folder(folder, 'corpus.text')}")
        return Saved(folder, config)
    if folder.exists():
        raise InputError(f"corpus.dataset: {folder} is a file; name files in corpus.text")
    if config.dataset.startswith((".", "/", "~")) or config.dataset.count("/") > 1:
        raise InputError(f"corpus.dataset: {folder} is no folder, and no name on the Hugging Face hub; correct it")
    return Hub(config, _commit(config))


@dataclass(frozen=True)
class Saved:
    """A folder that `save_to_disk` wrote. Its listing has the names, sizes and times of all files in it."""

    folder: Path
    config: SourceKeys

    @property
    def listing(self) -> list[Any]:
        files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        stats = [(path.relative_to(self.folder).as_posix(), stat_of(path)) for path in files]
        listed = [(name, now.st_size, now.st_mtime_ns) for name, now in stats]
        return [str(self.folder.resolve()), self.config.split, self.config.column, listed]

    @property
    def num_bytes(self) -> int | None:
        return None

    def read(self, start: Place) -> Iterator[Document]:
        data = self._open()
        require_column(self.folder, self.config.column, data.column_names)
        rows = data.select_columns([self.config.column]).select(range(start.row, len(data)))
        yield from _documents(rows, start, self.config)

    def _open(self) -> Any:
        datasets = library("datasets", "data", f"{self.folder}: a saved dataset")
        try:
            found = datasets.load_from_disk(str(self.folder))
        except Exception as error:  # their readers raise many kinds
            raise InputError(f"{self.folder}: datasets cannot read it ({why(error)}); save it again") from error
        if not isinstance(found, dict):
            return found
        if self.config.split not in found:
            raise InputError(f"{self.folder}: no split {self.config.split}; set corpus.split to {_or(list(found))}")
        return found[self.config.split]


@dataclass(frozen=True)
class Hub:
    """A dataset on the hub, at one commit, read as a stream: only what is used is downloaded."""

    config: SourceKeys
    commit: str

    @property
    def listing(self) -> list[Any]:
        return [self.config.dataset, self.config.subset, self.config.split, self.commit, self.config.column]

    @property
    def num_bytes(self) -> int | None:
        return None

    def read(self, start: Place) -> Iterator[Document]:
        rows = _stream(self.config, self.commit).skip(start.row)
        first = next(iter(rows), None)
        if first is not None:
            require_column(self.config.dataset, self.config.column, list(first))
        try:
            yield from _documents(rows, start, self.config)
        except InputError:
            raise
        except Exception as error:  # of the network, and of their readers
            again = "the same command goes on from here"
            raise InputError(f"corpus.dataset: {self.config.dataset} broke off ({why(error)}); {again}") from error


def _documents(rows: Any, start: Place, config: SourceKeys) -> Iterator[Document]:
    for row, record in enumerate(rows, start.row):
        where = f"{config.dataset}: record {row + 1}"
        yield Document(Place(0, row + 1), checked(record.get(config.column), where, config.column))


def _commit(config: SourceKeys) -> str:
    """The commit that the name and revision stand for now, so that a later one is another corpus."""
    if re.fullmatch("[0-9a-f]{40}", config.revision):
        return config.revision  # so that what was prepared is found without a network
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in OFFLINE:
        raise InputError(_unreachable(config, "HF_HUB_OFFLINE is set"))
    library("datasets", "data", f"corpus.dataset: {config.dataset}, a name on the Hugging Face hub")
    hub = library("huggingface_hub", "data", f"corpus.dataset: {config.dataset}")
    try:
        found = hub.HfApi().dataset_info(config.dataset, revision=config.revision or None, timeout=TIMEOUT)
    except hub.errors.RepositoryNotFoundError as error:
        raise InputError(
            f"corpus.dataset: the hub has no {config.dataset} that you may read; correct the name, or `hf auth login`"
        ) from error
    except hub.errors.RevisionNotFoundError as error:
        raise InputError(f"corpus.revision: {config.dataset} has no {config.revision}; correct it") from error
    except Exception as error:  # no network: each client library has kinds of its own
        raise InputError(_unreachable(config, why(error))) from error
    return str(found.sha)


def _unreachable(config: SourceKeys, reason: str) -> str:
    return (
        f"corpus.dataset: {config.dataset} is no folder here, and the Hugging Face hub cannot be reached ({reason}); "
        "where there is a network, save it with datasets' save_to_disk or `lrladder prepare --out`. If it was prepared "
        "here, set corpus.revision to the commit that `lrladder prepare` printed"
    )


def _stream(config: SourceKeys, commit: str) -> Any:
    datasets = library("datasets", "data", f"corpus.dataset: {config.dataset}")
    try:
        return datasets.load_dataset(
            config.dataset, config.subset or None, split=config.split, revision=commit, streaming=True
        )
    except ValueError as error:  # a subset or split that is missing or unknown; the message lists those that are there
        raise InputError(f"corpus.dataset: {config.dataset}: {why(error)}; set corpus.subset and split") from error
    except Exception as error:
        raise InputError(_unreachable(config, why(error))) from error


def _or(names: list[str]) -> str:
    return " or ".join(itertools.islice(names, 12))
