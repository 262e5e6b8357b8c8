"""Mixtures: shares by weight, one side for copies, and the same tokens after any interruption."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrladder.benchmark.config.corpus import CorpusConfig
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.training.corpus import Corpus, _permutation, _spread, prepare
from lrladder.benchmark.training.entry import digest_of
from lrladder.benchmark.training.text import spool
from lrladder.benchmark.training.text.assembly import held_out, within_weights
from lrladder.benchmark.training.text.choice import by_weight, source_of
from lrladder.benchmark.training.text.spool import RECORD
from lrladder.benchmark.training.text.words import sentences
from tests.benchmark.training.text.written import megatron, plain, text_of

SEQ_LEN = 8
FEW, MANY = [text_of(seed) for seed in range(10)], [text_of(seed) for seed in range(100, 140)]


@pytest.fixture
def config(tmp_path: Path) -> CorpusConfig:
    sources = {
        "few": {"text": [plain(tmp_path / "few", FEW)], "weight": 3},
        "many": {"text": [plain(tmp_path / "many", MANY)], "weight": 5},
    }
    return CorpusConfig(sources=sources, vocab_size=300, val_fraction=0.2, val_documents=16)


def _prepare(config: CorpusConfig, tmp_path: Path, **keys: object) -> Corpus:
    return prepare(config, seq_len=SEQ_LEN, cache=tmp_path / "cache", **keys)  # type: ignore[arg-type]


def test_each_source_has_its_share_to_one_document(config: CorpusConfig, tmp_path: Path) -> None:
    corpus = _prepare(config, tmp_path)
    few, many = corpus.manifest["mixture"]
    longest = 1 + max(len(text.encode()) for text in FEW + MANY)
    assert few["train_tokens"] * 5 / 3 - longest < many["train_tokens"] <= few["train_tokens"] * 5 / 3
    assert few["share"] + many["share"] == pytest.approx(1)
    borders = corpus.manifest["parts"]["train_offsets"]
    assert borders == [0, few["train_tokens"], len(corpus.train)]
    documents = corpus.manifest["documents"]
    assert documents["left_out"] > 0 and documents["train"] + documents["val"] + documents["left_out"] == 50
    said = " ".join(sentences(corpus.manifest))
    assert "few is the scarcest source for its weight" in said and "of the training tokens" in said


def test_weights_and_order_of_batches_are_in_the_digest(config: CorpusConfig, tmp_path: Path) -> None:
    manifest = _prepare(config, tmp_path).manifest
    other = manifest["parts"] | {"weights": [0.5, 0.5]}
    assert digest_of(manifest) != digest_of(manifest | {"parts": other})
    turned = dict(reversed(config.sources.items()))
    assert source_of(config).key == source_of(config.model_copy(update={"sources": turned})).key
    moved = {name: source.model_copy(update={"weight": 1.0}) for name, source in config.sources.items()}
    assert source_of(config).key != source_of(config.model_copy(update={"sources": moved})).key


@given(st.lists(st.integers(1, 60), min_size=2, max_size=4), st.integers(0, 5))
def test_any_prefix_of_an_epoch_has_the_shares(counts: list[int], seed: int) -> None:
    order = _permutation(seed, 0, tuple(counts))
    assert sorted(order.tolist()) == list(range(sum(counts)))
    owners = np.searchsorted(np.cumsum(counts), order, side="right")
    for source, count in enumerate(counts):
        seen = np.cumsum(owners == source)
        due = np.arange(1, len(order) + 1) * count / len(order)
        assert np.abs(seen - due).max() <= len(counts)
    assert np.array_equal(order, _permutation(seed, 0, tuple(counts)))


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=5), st.integers(0, 300))
def test_shares_are_whole_and_sum_up(weights: list[float], count: int) -> None:
    shares = by_weight(weights, count)
    assert sum(shares) == count
    assert all(abs(share - weight / sum(weights) * count) < 1 for share, weight in zip(shares, weights, strict=True))


def test_validation_windows_are_shared_out_by_weight() -> None:
    starts = _spread([0, 1000, 3000], SEQ_LEN, 40, [0.75, 0.25])
    assert (starts < 1000).sum() == 30 and len(set(starts)) == 40
    with pytest.raises(InputError, match="has 12 windows of 9 tokens, but 30 are needed"):
        _spread([0, 100, 3000], SEQ_LEN, 40, [0.75, 0.25])


def _records(hashes: list[int], side: int = -1) -> np.ndarray:
    return np.array([(5, 5, value, side) for value in hashes], RECORD)


def test_copies_are_on_one_side_and_the_side_that_a_source_says_counts() -> None:
    out = held_out(_records([7, 1, 1, 9, 8, 1]), 0.2, "web")
    assert out.tolist() == [False, True, True, False, False, True]
    assert held_out(_records([1, 2], 1), 0.2, "web").all()
    with pytest.raises(InputError, match="web: all documents are copies"):
        held_out(_records([4, 4, 4]), 0.3, "web")


def test_the_scarcest_source_stays_whole() -> None:
    owners, lengths = np.repeat([0, 1, 2], [2, 30, 30]), np.full(62, 10)
    hashes = np.arange(62, dtype=np.uint64)[::-1].copy()
    kept = within_weights(
        list(range(62)), owners=owners, lengths=lengths, hashes=hashes, weights=np.array([0.2, 0.3, 0.5])
    )
    assert kept[:2] == [0, 1] and np.bincount(owners[kept]).tolist() == [2, 3, 5]
    assert kept == sorted(kept) and kept[2:5] == [29, 30, 31]  # smallest hashes


def test_a_source_of_which_nothing_stays_is_refused() -> None:
    ones = np.ones(3, np.int64)
    with pytest.raises(InputError, match="all training documents of one source repeat validation text"):
        within_weights([0, 1], owners=np.array([0, 0, 1]), lengths=ones, hashes=ones, weights=np.array([0.5, 0.5]))


class Killed(Exception):
    pass


@pytest.mark.parametrize("killed_at", [1, 2, 5])
def test_a_killed_preparation_goes_on_to_the_same_tokens(
    killed_at: int, config: CorpusConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "STEP_DOCUMENTS", 8)
    whole = prepare(config, seq_len=SEQ_LEN, cache=tmp_path / "whole")
    steps: list[int] = []

    def kill(progress: object) -> None:
        steps.append(0)
        if len(steps) == killed_at:
            raise Killed

    with pytest.raises(Killed):
        _prepare(config, tmp_path, show=kill)
    (half_done,) = (tmp_path / "cache").iterdir()
    with (half_done / "0" / spool.TOKENS).open("ab") as file:
        file.write(b"\x01\x02\x03")  # of a step that was not finished
    again: list[int] = []
    done = _prepare(config, tmp_path, show=lambda progress: again.append(0))
    assert done.digest == whole.digest and np.array_equal(done.train, whole.train)
    assert len(steps) + len(again) <= 10  # of 2 and 6 steps, with the last of each source
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [done.path.name]


def test_a_damaged_state_starts_the_source_again(
    config: CorpusConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = prepare(config, seq_len=SEQ_LEN, cache=tmp_path / "whole")

    def kill(progress: object) -> None:
        raise Killed

    with pytest.raises(Killed):
        _prepare(config, tmp_path, show=kill)
    (half_done,) = (tmp_path / "cache").iterdir()
    (half_done / "0" / spool.STATE).write_text("{")
    assert _prepare(config, tmp_path).digest == whole.digest


def test_bytes_beyond_the_limit_are_left_out_and_said(config: CorpusConfig, tmp_path: Path) -> None:
    short = config.model_copy(update={"max_bytes": 20_000})
    corpus = _prepare(short, tmp_path)
    assert corpus.manifest["bytes"]["read"] <= 20_000
    assert any("corpus.max_bytes leaves out" in sentence for sentence in sentences(corpus.manifest))
    with pytest.raises(InputError, match=r"fewer than 2 documents, .*raise corpus.max_bytes"):
        _prepare(config.model_copy(update={"max_bytes": 1000}), tmp_path)


def test_a_corpus_that_is_too_short_names_the_scarcest_source(config: CorpusConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give more of few, the scarcest source"):
        _prepare(config, tmp_path).require(10**9)


def test_documents_that_repeat_validation_text_are_dropped_across_sources(tmp_path: Path) -> None:
    texts = [text_of(seed, 400) for seed in range(16)]
    copies = ["first " + text for text in texts]
    sources = {
        "a": {"text": [plain(tmp_path / "a", texts)], "weight": 1},
        "b": {"text": [plain(tmp_path / "b", copies)], "weight": 1},
    }
    corpus = _prepare(CorpusConfig(sources=sources, vocab_size=300, val_fraction=0.2, val_documents=4), tmp_path)
    assert corpus.manifest["documents"]["dropped"] > 0
    assert corpus.manifest["overlap"]["shared"] < 0.005 < corpus.manifest["overlap"]["shared_before"]


def test_a_forged_mixture_is_built_again(config: CorpusConfig, tmp_path: Path) -> None:
    first = _prepare(config, tmp_path)
    path = first.path / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["parts"]["train_offsets"][1] = 10**9
    path.write_text(json.dumps(manifest | {"digest": digest_of(manifest)}))
    assert _prepare(config, tmp_path).digest == first.digest


def test_token_files_mix_without_a_tokenizer(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, high in (("a", 100), ("b", 200)):
        megatron(tmp_path / name, [rng.integers(high - 99, high, 50).tolist() for _ in range(40)])
    sources = {
        name: {"train_tokens": [str(tmp_path / name)], "weight": weight} for name, weight in (("a", 1), ("b", 3))
    }
    corpus = _prepare(CorpusConfig(sources=sources, vocab_size=300, val_documents=4), tmp_path)
    batch = corpus.batch(step=0, batch_tokens=40 * SEQ_LEN, seq_len=SEQ_LEN, seed=3)
    assert (batch[:, 0] >= 101).sum() in (29, 30, 31)
    assert (corpus.val_windows[:, 0] >= 101).sum() == 3
