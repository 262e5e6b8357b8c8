"""A corpus cache that was altered is built again, and one that others can write to is not used."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lrladder.benchmark.config.parts import CorpusConfig
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import make_private
from lrladder.benchmark.training import compiling
from lrladder.benchmark.training.corpus import Corpus, load, prepare
from lrladder.benchmark.training.entry import digest_of

SEQ_LEN = 8
VOCAB = 300


class Opened:
    """A corpus of text, opened as often as asked. `said` has what was said, `built` how often it was built."""

    def __init__(self, folder: Path) -> None:
        self.said: list[str] = []
        self.cache = folder / "cache"
        rng = np.random.default_rng(0)
        for index in range(6):
            (folder / f"{index}.txt").write_text(" ".join(rng.choice(["alpha", "beta", "gamma", "delta"], 200)))
        self._config = CorpusConfig(text=(f"{folder}/*.txt",), vocab_size=VOCAB, val_documents=2, val_fraction=0.3)

    def __call__(self) -> Corpus:
        return prepare(self._config, seq_len=SEQ_LEN, cache=self.cache, say=self.said.append)


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    return Opened(tmp_path)


def every_seventh(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[::7] = bytes(len(data[::7]))
    path.write_bytes(data)


def one_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def in_the_past(path: Path) -> None:
    """With the time of the last change set back, as a careful stranger would."""
    before = path.stat()
    one_bit(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("part", ["train.bin", "val.bin"])
@pytest.mark.parametrize("alter", [every_seventh, one_bit, in_the_past])
def test_altered_tokens_are_noticed_and_built_again(alter: Callable[[Path], None], part: str, opened: Opened) -> None:
    first = opened()
    before = np.array(first.train)
    alter(first.path / part)
    with pytest.raises(InputError, match="changed since it was checked"):
        load(first.verified, SEQ_LEN, 2)  # a worker that starts later
    again = opened()
    assert again.digest == first.digest and np.array_equal(again.train, before)
    assert len(opened.said) == 1 and "built again" in opened.said[0]
    opened()
    assert len(opened.said) == 1


def test_touched_tokens_are_read_once_more_and_used(opened: Opened) -> None:
    first = opened()
    (first.path / "train.bin").touch()
    assert load(first.verified, SEQ_LEN, 2).digest == first.digest


def forged(manifest: dict[str, object], **changes: object) -> str:
    """With a digest that fits the changes."""
    manifest = manifest | changes
    return json.dumps(manifest | {"digest": digest_of(manifest)})


FORGERIES: dict[str, dict[str, object]] = {
    "another file": {"paths": {"train": "/etc/passwd", "val": "val.bin"}},
    "a file above": {"paths": {"train": "../train.bin", "val": "val.bin"}},
    "a smaller vocabulary": {"vocab_size": 10},
    "a larger vocabulary": {"vocab_size": 1000},
    "another type": {"dtype": "<f2"},
    "offsets beyond the end": {"val_offsets": [0, 10**9]},
    "offsets that fall": {"val_offsets": [0, 50, 20]},
    "another digest": {"sha256": {"train": "0" * 64, "val": "0" * 64}},
}


@pytest.mark.parametrize("changes", FORGERIES.values(), ids=FORGERIES)
def test_a_forged_manifest_is_not_followed(changes: dict[str, object], opened: Opened) -> None:
    first = opened()
    manifest = first.path / "manifest.json"
    manifest.write_text(forged(json.loads(manifest.read_text()), **changes))
    again = opened()
    assert again.digest == first.digest and len(opened.said) == 1
    assert json.loads(manifest.read_text())["paths"] == {"train": "train.bin", "val": "val.bin"}
    assert max(again.train.max(), again.val.max()) < VOCAB


def test_what_is_made_is_for_this_user_alone(opened: Opened) -> None:
    entry = opened().path
    assert {stat.S_IMODE(path.stat().st_mode) for path in (opened.cache, entry)} == {0o700}


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o1777])
def test_a_cache_that_others_can_write_to_is_refused(mode: int, opened: Opened) -> None:
    opened.cache.mkdir()
    opened.cache.chmod(mode)
    with pytest.raises(InputError, match=r"cache: other users can write to it.*chmod 700.*LRLADDER_CACHE"):
        opened()


def test_a_cache_of_another_user_is_refused(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    opened()
    monkeypatch.setattr(os, "geteuid", lambda: opened.cache.stat().st_uid + 1)
    with pytest.raises(InputError, match="belongs to another user"):
        opened()


def test_compiled_code_of_a_shared_folder_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(compiling.VARIABLE, raising=False)
    for name in (compiling.CACHE, compiling.THREADS):  # restored after the test
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    (tmp_path / "compiled").mkdir()
    (tmp_path / "compiled").chmod(0o777)
    with pytest.raises(InputError, match="compiled: other users can write to it"):
        compiling.prepare(tmp_path / "compiled", "cpu")


def test_a_private_folder_may_be_read_by_others(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_private(tmp_path)  # refuses nothing
    assert tmp_path.stat().st_mode & 0o022 == 0  # and lets nobody else write
