"""Text on both sides of the split: runs against a loop over them, what is dropped, and what is said."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrladder.benchmark.config.parts import CorpusConfig
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.training import overlap
from lrladder.benchmark.training.corpus import Corpus, prepare
from lrladder.benchmark.training.overlap import GRAM, MOST_SHARED, files_to_drop, grams_of, held, sentence, shared

SEQ_LEN = 8


def _drawn(seed: int, tokens: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 50, tokens, dtype=np.uint16)


def _loop(train: np.ndarray, val: np.ndarray) -> float:
    """The share, from every run as a tuple."""
    runs = [[tuple(part[i : i + GRAM]) for i in range(len(part) - GRAM + 1)] for part in (train, val)]
    known = set(runs[0])
    return sum(run in known for run in runs[1]) / max(1, len(runs[1]))


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 150)), max_size=5), st.integers(0, 400))
def test_the_share_is_that_of_a_loop_over_all_runs(pieces: list[tuple[int, int]], length: int) -> None:
    """Pieces of the validation of any length pasted into training, in chunks that cut them anywhere."""
    val = np.tile(_drawn(1, max(1, length // 2)), 2)  # runs that come twice
    train = np.concatenate([_drawn(2, 90), *(np.append(val[at : at + n], 60) for at, n in pieces)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap, "CHUNK", 37)
        assert shared(train, val) == pytest.approx(_loop(train, val))


def test_many_grams_are_a_sample_by_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    val = _drawn(1, 40_000)
    train = np.concatenate([_drawn(2, 5000), val[:10_000]])
    monkeypatch.setattr(overlap, "MOST_GRAMS", 4000)
    grams = grams_of(val, [0, len(val)])
    assert grams.one_in == 10 and len(grams.hashes) == pytest.approx(4000, rel=0.1)
    assert shared(train, val) == pytest.approx(0.25, abs=0.03)


def _dropped(train: list[np.ndarray], val: list[np.ndarray]) -> tuple[set[int], float]:
    """Files dropped, and the share that is left within files."""
    places = [np.cumsum([0, *map(len, files)]).tolist() for files in (train, val)]
    grams = grams_of(np.concatenate(val), places[1])
    found = held(grams, np.concatenate(train), places[0])
    dropped = files_to_drop(grams, found, places[0])
    left = np.unique(found.grams[~np.isin(found.files, list(dropped))])
    return dropped, float(grams.counts[left].sum() / grams.counts.sum())


def test_near_duplicates_go_however_small_and_what_shares_little_stays() -> None:
    val = [_drawn(seed, 4000) for seed in range(12)] + [_drawn(90, 100)]
    edited = val[3].copy()
    edited[::600] = 55  # a word here and there
    around = np.concatenate([_drawn(91, 3000), val[12], _drawn(92, 3000)])  # holds a whole short file
    quotes = np.concatenate([_drawn(93, 3000), val[0][50:150]])  # 37 runs of 44,000
    train = [_drawn(seed, 4000) for seed in range(20, 30)] + [edited, around, quotes, val[12][:80]]
    dropped, left = _dropped(train, val)
    assert dropped == {10, 11, 13}
    assert 0 < left < overlap.AIM


def test_files_that_bring_least_for_their_length_stay() -> None:
    val = [_drawn(0, 20_000)]
    long, short = (np.concatenate([_drawn(seed, n), val[0][:112]]) for seed, n in ((1, 9000), (2, 500)))
    other = np.concatenate([_drawn(3, 500), val[0][700:812]])
    dropped, left = _dropped([long, short, other, _drawn(4, 9000)], val)
    assert dropped == {2}  # `short` brings nothing that `long` has not brought, `other` as much again
    assert left == 49 / 19_937 < overlap.AIM


def test_a_header_of_all_files_drops_none_but_near_duplicates() -> None:
    header = _drawn(99, 120)
    val = [np.concatenate([header, _drawn(seed, 2000)]) for seed in range(5)] + [header]  # the last has no more
    train = [np.concatenate([header, _drawn(seed, 2000)]) for seed in range(10, 30)] + [val[2], header]
    dropped, left = _dropped(train, val)
    assert dropped == {20, 21}
    assert left > MOST_SHARED


WORDS = [f"w{index}" for index in range(60)]


def _text(seed: int, words: int = 600) -> str:
    return " ".join(np.random.default_rng(seed).choice(WORDS, words)) + "\n"


def _prepare(folder: Path, texts: dict[str, str]) -> Corpus:
    for name, text in texts.items():
        (folder / name).write_text(text)
    config = CorpusConfig(text=(f"{folder}/*.txt",), vocab_size=300, val_fraction=0.25, val_documents=4)
    return prepare(config, seq_len=SEQ_LEN, cache=folder / "cache")


def test_a_copy_of_every_text_leaves_no_validation_text_in_training(tmp_path: Path) -> None:
    """Each text is there twice, once with a line more: wherever the split puts the two, none is on both sides."""
    texts = {f"{seed}.txt": _text(seed) for seed in range(16)}
    (tmp_path / "once").mkdir()
    (tmp_path / "twice").mkdir()
    once = _prepare(tmp_path / "once", texts)
    twice = _prepare(tmp_path / "twice", texts | {f"copy{seed}.txt": "first " + _text(seed) for seed in range(16)})
    assert once.manifest["files"]["dropped"] == 0 and once.manifest["overlap"]["shared_before"] == 0
    known, files = twice.manifest["overlap"], twice.manifest["files"]
    assert known["shared_before"] > 0.5 and known["shared"] == 0 == shared(twice.train, twice.val)
    assert files["dropped"] == known["dropped_files"] > 0 and files["train"] + files["val"] + files["dropped"] == 32
    assert len(twice.train) == twice.manifest["tokens"]["train"]
    assert known["dropped_share"] == known["dropped_tokens"] / (known["dropped_tokens"] + len(twice.train))
    said = sentence(twice.manifest)
    before, dropped = known["shared_before"], known["dropped_files"]
    assert f"This share was {before:.2%} before {dropped} files were dropped from training (" in said
    assert "That is above" not in said


def test_copies_shorter_than_a_run_go_too(tmp_path: Path) -> None:
    texts = {f"{seed}.txt": _text(seed) for seed in range(8)} | {f"short{seed}.txt": "the same\n" for seed in range(8)}
    corpus = _prepare(tmp_path, texts)
    train, val = (
        {tuple(file) for file in np.split(part, np.flatnonzero(part == 0) + 1)}  # 0 ends a file
        for part in (np.asarray(corpus.train), np.asarray(corpus.val))
    )
    assert train & val == {()} and 0 < corpus.manifest["files"]["dropped"] < 8


def test_texts_that_are_all_alike_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="every training file repeats validation text; give files that differ"):
        _prepare(tmp_path, {f"{seed}.txt": _text(0) for seed in range(6)})


def test_ready_tokens_are_measured_and_flagged(tmp_path: Path) -> None:
    train, val = _drawn(0, 5000), _drawn(1, 3000)
    train[1000:1200] = val[500:700]
    for name, part in (("train", train), ("val", val)):
        part.tofile(tmp_path / f"{name}.bin")
    config = CorpusConfig(
        train_tokens=(f"{tmp_path}/train.bin",), val_tokens=(f"{tmp_path}/val.bin",), vocab_size=300, val_documents=4
    )
    corpus = prepare(config, seq_len=SEQ_LEN, cache=tmp_path / "cache")
    assert corpus.manifest["overlap"]["shared"] == pytest.approx(137 / 2937)
    assert corpus.manifest["overlap"]["flagged"] and corpus.manifest["overlap"]["dropped_files"] == 0
    assert sentence(corpus.manifest).startswith("4.66% of the 2,937 sequences of 64 tokens in the validation text")
    assert "above 0.5%" in sentence(corpus.manifest)
    assert "older version" in sentence({})
