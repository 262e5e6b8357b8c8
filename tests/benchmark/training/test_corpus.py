"""The corpus: split, cache, batches and bad input, each as a property."""

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from lrladder.benchmark.config.parts import CorpusConfig
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.training import corpus as corpus_module
from lrladder.benchmark.training.corpus import Corpus, _spread, load, prepare
from lrladder.benchmark.training.entry import Verified
from lrladder.benchmark.training.sources import END_OF_TEXT, TextFiles, _split

SEQ_LEN = 8
WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "naïve", "λ", "語", "<|endoftext|>"]


def _text(seed: int, words: int = 400) -> str:
    return " ".join(np.random.default_rng(seed).choice(WORDS, words)) + "\r\n\n"


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    (folder / "deep").mkdir(parents=True)
    for seed in range(12):
        (folder / ("deep" if seed % 2 else "") / f"{seed}.txt").write_bytes(_text(seed).encode())
    return folder


def _config(folder: Path, **changes: object) -> CorpusConfig:
    settings = {"text": (f"{folder}/**/*.txt",), "vocab_size": 300, "val_fraction": 0.25, "val_documents": 5}
    return CorpusConfig(**(settings | changes))


def _prepare(folder: Path, **changes: object) -> Corpus:
    return prepare(_config(folder, **changes), seq_len=SEQ_LEN, cache=folder.parent / "cache")


def _fake(tokens: int) -> Corpus:
    train = np.arange(tokens)  # each token is its own position, so overlap shows
    windows = np.zeros((1, SEQ_LEN + 1), np.int64)
    return Corpus(Path(), "", {}, train, train, windows, Verified(Path(), "", ()))


def _fails(match: str, config: CorpusConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=match) as caught:
        prepare(config, seq_len=SEQ_LEN, cache=tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "cache").glob(".building-*"))


def test_tokens_decode_to_the_texts_and_no_file_is_on_both_sides(texts: Path) -> None:
    corpus = _prepare(texts)
    tokenizer = Tokenizer.from_file(str(corpus.path / "tokenizer.json"))
    end = tokenizer.token_to_id(END_OF_TEXT)
    sides = []
    for part in (corpus.train, corpus.val):
        documents = np.split(np.asarray(part), np.flatnonzero(part == end) + 1)[:-1]
        sides.append({tokenizer.decode(document[:-1].tolist()) for document in documents})
    assert not sides[0] & sides[1]
    assert sides[0] | sides[1] == {path.read_bytes().decode() for path in texts.rglob("*.txt")}
    assert corpus.manifest["files"] == {"found": 12, "chosen": 12, "skipped": 0, "dropped": 0, "train": 9, "val": 3}


def test_reuse_opens_without_building(texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _prepare(texts)
    monkeypatch.setattr(TextFiles, "build", None)
    assert _prepare(texts).digest == first.digest
    again = load(first.verified, SEQ_LEN, 5)
    assert again.digest == first.digest and np.array_equal(again.val_windows, first.val_windows)


def test_digest_is_of_content_not_place(texts: Path, tmp_path: Path) -> None:
    first = _prepare(texts)
    again = prepare(_config(texts), seq_len=SEQ_LEN, cache=tmp_path / "other")
    assert again.digest == first.digest
    moved = texts.rename(tmp_path / "moved")
    assert _prepare(moved).digest == first.digest
    (moved / "0.txt").write_text(_text(99))
    assert _prepare(moved).digest != first.digest


@pytest.mark.parametrize("name", ["train.bin", "val.bin", "manifest.json"])
def test_damaged_entry_is_reported_then_rebuilt(texts: Path, name: str) -> None:
    first = _prepare(texts)
    damaged = first.path / name
    damaged.write_bytes(damaged.read_bytes()[:-3])
    with pytest.raises(InputError, match="has changed since it was checked"):
        load(first.verified, SEQ_LEN, 5)
    assert _prepare(texts).digest == first.digest
    assert [path.name for path in first.path.parent.iterdir()] == [first.path.name]


def test_processes_at_once_end_with_one_entry(texts: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        options = {"seq_len": SEQ_LEN, "cache": texts.parent / "cache"}
        started = [pool.apply_async(prepare, (_config(texts),), options) for _ in range(4)]
        assert len({result.get().digest for result in started}) == 1
    assert len(list((texts.parent / "cache").iterdir())) == 1


def test_late_builder_keeps_the_entry_of_the_first(texts: Path) -> None:
    first = _prepare(texts)
    written = (first.path / "manifest.json").stat().st_mtime_ns
    corpus_module._build(TextFiles.find(_config(texts)), first.path)
    assert (first.path / "manifest.json").stat().st_mtime_ns == written


def test_stdlib_is_the_default(tmp_path: Path) -> None:
    corpus = prepare(CorpusConfig(max_bytes=400_000, val_documents=8), seq_len=32, cache=tmp_path)
    assert corpus.manifest["source"].startswith("stdlib of Python 3")
    assert 100_000 < sum(corpus.manifest["bytes"].values()) <= 400_000
    assert corpus.val_windows.shape == (8, 33)
    assert corpus.train.dtype == np.uint16


def test_smaller_max_bytes_takes_a_prefix_of_the_files(texts: Path) -> None:
    full = TextFiles.find(_config(texts)).files
    some = TextFiles.find(_config(texts, max_bytes=15_000)).files
    assert 2 <= len(some) < len(full)
    assert some == full[: len(some)]


@given(st.sets(st.text(min_size=1), min_size=2, max_size=40), st.floats(0.001, 0.499))
def test_split_is_a_partition_with_both_sides(names: set[str], fraction: float) -> None:
    train, val = _split(sorted(names), fraction)
    assert train
    assert val
    assert sorted(train + val) == sorted(names)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.integers(1, 30))
def test_val_windows_are_distinct_and_of_different_documents_first(lengths: list[int], count: int) -> None:
    offsets = [0, *np.cumsum(lengths).tolist()]
    room = [(length - 1) // SEQ_LEN for length in lengths]
    if sum(room) < count:
        with pytest.raises(InputError, match="validation text has"):
            _spread(offsets, SEQ_LEN, count)
        return
    starts = _spread(offsets, SEQ_LEN, count)
    owners = np.searchsorted(offsets, starts, side="right") - 1
    assert len(starts) == count
    assert np.all(np.diff(starts) >= SEQ_LEN)
    assert all(start + SEQ_LEN < offsets[owner + 1] for start, owner in zip(starts, owners, strict=True))
    assert len(set(owners)) == min(count, sum(n > 0 for n in room))


@given(st.integers(-3, 2**40), st.integers(0, 1000), st.integers(1, 4))
@settings(max_examples=50)
def test_batch_is_pure_in_seed_and_step(seed: int, step: int, rows: int) -> None:
    kwargs = {"step": step, "batch_tokens": rows * SEQ_LEN, "seq_len": SEQ_LEN, "seed": seed}
    batch = _fake(500).batch(**kwargs)
    corpus_module._permutation.cache_clear()
    assert np.array_equal(batch, _fake(500).batch(**kwargs))
    assert batch.shape == (rows, SEQ_LEN + 1)
    assert batch.dtype == np.int64
    assert np.all(np.diff(batch) == 1)


@given(st.integers(1, 30), st.integers(0, 5))
def test_an_epoch_covers_each_window_once_and_the_next_in_another_order(windows: int, seed: int) -> None:
    corpus = _fake(windows * SEQ_LEN + 1)
    starts = [
        int(corpus.batch(step=step, batch_tokens=SEQ_LEN, seq_len=SEQ_LEN, seed=seed)[0, 0])
        for step in range(2 * windows)
    ]
    every = [index * SEQ_LEN for index in range(windows)]
    assert sorted(starts[:windows]) == sorted(starts[windows:]) == every
    assert windows < 10 or starts[:windows] != starts[windows:]


def test_batch_size_does_not_change_the_order_of_data() -> None:
    corpus = _fake(500)
    small = [corpus.batch(step=step, batch_tokens=SEQ_LEN, seq_len=SEQ_LEN, seed=1) for step in range(6)]
    large = [corpus.batch(step=step, batch_tokens=3 * SEQ_LEN, seq_len=SEQ_LEN, seed=1) for step in range(2)]
    assert np.array_equal(np.concatenate(small), np.concatenate(large))
    assert not np.array_equal(large[0], corpus.batch(step=0, batch_tokens=3 * SEQ_LEN, seq_len=SEQ_LEN, seed=2))


def test_require_counts_whole_windows_of_one_epoch() -> None:
    corpus = _fake(10 * SEQ_LEN + 1)
    corpus.require(10 * SEQ_LEN)
    with pytest.raises(InputError, match="too short for horizon 81: 81 tokens needed, 80 there; give more text"):
        corpus.require(10 * SEQ_LEN + 1)


@pytest.mark.parametrize(("step", "batch_tokens"), [(-1, 8), (0, 0), (0, 12)])
def test_batch_refuses_what_is_no_batch(step: int, batch_tokens: int) -> None:
    with pytest.raises(ValueError, match="must be whole windows"):
        _fake(100).batch(step=step, batch_tokens=batch_tokens, seq_len=SEQ_LEN, seed=0)


def test_batch_of_a_corpus_below_one_window_is_an_input_error() -> None:
    with pytest.raises(InputError, match="give more text"):
        _fake(SEQ_LEN).batch(step=0, batch_tokens=SEQ_LEN, seq_len=SEQ_LEN, seed=0)


def test_bad_text_names_path_and_remedy(tmp_path: Path) -> None:
    good = tmp_path / "good.txt"
    good.write_text(_text(0))
    bad = {"nul": b"a\0b", "latin": "naïve".encode("latin-1"), "empty": b""}
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)

    def fails(match: str, *names: str, **changes: object) -> None:
        paths = tuple(str(tmp_path / name) for name in names)
        _fails(match, CorpusConfig(text=paths, vocab_size=300, **changes), tmp_path)

    fails("nowhere.txt: no such file; correct corpus.text", "good.txt", "nowhere.txt")
    fails("md: matches no file; correct corpus.text", "*.md")
    fails(r"a folder; corpus.text takes files or globs such as .*/\*\*/\*.txt", "")
    fails("nul: has NUL bytes, so it is binary; leave it out", "good.txt", "nul")
    fails("latin: not UTF-8 at byte 2; convert it", "good.txt", "latin")
    fails("all of the 1 files are empty; give files with text", "empty")
    fails(
        "good.txt: the only file with text; validation is split off by file, so give at least 2",
        "good.txt",
        "empty",
        "good.txt",
    )
    fails("max_bytes 10 has room for fewer than 2 files; raise it", "good.txt", "latin", max_bytes=10)


def test_short_validation_and_unwritable_cache(texts: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"validation text has \d+ windows of 9 tokens, but 9999 are needed; give more"
    ):
        _prepare(texts, val_documents=9999)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file: cannot be made .*LRLADDER_CACHE"):
        prepare(_config(texts), seq_len=SEQ_LEN, cache=tmp_path / "file")


def test_unreadable_text(texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)  # a mode of 000 does not stop root
    _fails("txt: cannot be read: Permission denied; make it readable", _config(texts), tmp_path)


def _ready(folder: Path, name: str, ids: list[int] | np.ndarray, dtype: str = "<u2") -> str:
    path = folder / name
    np.asarray(ids, dtype=dtype).tofile(path)
    return str(path)


def test_ready_tokens_are_used_in_place(tmp_path: Path) -> None:
    train = _ready(tmp_path, "train.bin", np.arange(400) % 300)
    val = _ready(tmp_path, "val.bin", np.arange(1000) % 300)
    config = CorpusConfig(train_tokens=(train,), val_tokens=(val,), vocab_size=300, val_documents=4)
    corpus = prepare(config, seq_len=SEQ_LEN, cache=tmp_path / "cache")
    assert [path.name for path in corpus.path.iterdir()] == ["manifest.json"]
    assert corpus.manifest["tokens"] == {"train": 400, "val": 1000}
    assert np.array_equal(corpus.train, np.arange(400) % 300)
    gaps = np.diff(corpus.val_windows[:, 0]) % 300
    assert np.ptp(gaps) <= SEQ_LEN
    assert gaps.min() > 200
    assert json.loads((corpus.path / "manifest.json").read_text())["digest"] == corpus.digest


def test_several_ready_files_are_joined(tmp_path: Path) -> None:
    for index in range(3):
        _ready(tmp_path, f"part{index}.bin", np.full(50, index), "<u4")
    val = _ready(tmp_path, "val.bin", np.zeros(100), "<u4")
    config = CorpusConfig(
        train_tokens=(f"{tmp_path}/part*.bin",), val_tokens=(val,), token_dtype="uint32", val_documents=2
    )
    corpus = prepare(config, seq_len=SEQ_LEN, cache=tmp_path / "cache")
    assert np.array_equal(corpus.train, np.repeat([0, 1, 2], 50))
    assert corpus.train.dtype == np.uint32


def test_bad_ready_tokens(tmp_path: Path) -> None:
    good, large = _ready(tmp_path, "good.bin", [1] * 90), _ready(tmp_path, "large.bin", [1] * 90 + [300])
    (tmp_path / "odd.bin").write_bytes(b"abc")
    (tmp_path / "none.bin").write_bytes(b"")

    def fails(match: str, train: str, val: str, text: tuple[str, ...] = ()) -> None:
        parts = {"train_tokens": (train,) if train else (), "val_tokens": (val,) if val else ()}
        _fails(match, CorpusConfig(text=text, vocab_size=300, **parts), tmp_path)

    fails("large.bin: token id 300 is not below corpus.vocab_size 300; raise vocab_size", large, good)
    fails("odd.bin: 3 bytes are not a whole number of <u2 ids", good, str(tmp_path / "odd.bin"))
    fails("none.bin: 0 bytes", good, str(tmp_path / "none.bin"))
    fails("absent.bin: no such file; correct corpus.val_tokens", good, str(tmp_path / "absent.bin"))
    fails("good.bin: in both", good, good)
    fails("go together; give the missing one", good, "")
    fails("both given; keep one", good, large, text=("x",))


def test_packages_add_their_sources_and_copies_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library, packages = tmp_path / "library", tmp_path / "packages"
    places = {"stdlib": str(library), "purelib": str(packages), "platlib": str(packages)}
    for seed in range(4):
        for place, shift in ((library, 0), (packages, 10)):
            (place / "part").mkdir(parents=True, exist_ok=True)
            (place / "part" / f"{seed}.py").write_text(_text(shift + seed))
    (packages / "copy.py").write_text(_text(0))
    monkeypatch.setattr("sysconfig.get_paths", lambda: places)
    config = _config(tmp_path, text=(), packages=True)
    source = TextFiles.find(config)
    names = [name for name, _ in source.files]
    assert sorted(names) == sorted(
        [f"{place}part/{seed}.py" for place in ("", "packages/") for seed in range(4)] + ["packages/copy.py"]
    )
    assert len(dict(source._read())) == len({path.read_text() for _, path in source.files}) < len(names)
    without = TextFiles.find(config.model_copy(update={"packages": False}))
    assert len(without.files) == 4 and without.key != source.key
    _fails("keep one of them", _config(tmp_path, packages=True), tmp_path)
