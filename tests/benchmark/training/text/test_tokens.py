"""Megatron's token files and tokenizers of the user's own, against the libraries that write them."""

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from lrladder.benchmark.config.corpus import CorpusConfig
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.training.corpus import Corpus, prepare
from lrladder.benchmark.training.text.megatron import pair_of, read_index
from lrladder.benchmark.training.text.tokenizer import OwnTokenizer
from tests.benchmark.training.text.written import CODES, TEXTS, megatron, own_tokenizer, plain

SEQ_LEN = 8
DOCUMENTS = [(np.arange(40 + seed) * (7 + seed) % 250 + 1).tolist() for seed in range(20)]


def _prepare(folder: Path, **keys: object) -> Corpus:
    settings = {"vocab_size": 320, "val_fraction": 0.2, "val_documents": 4} | keys
    return prepare(CorpusConfig(**settings), seq_len=SEQ_LEN, cache=folder / "cache")


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("named", ["ids.bin", "ids.idx", "ids"])
def test_megatron_tokens_have_their_type_and_documents(dtype: str, named: str, tmp_path: Path) -> None:
    megatron(tmp_path / "ids", DOCUMENTS, dtype)
    corpus = _prepare(tmp_path, train_tokens=(str(tmp_path / named),))
    assert corpus.manifest["tokens"]["train"] + corpus.manifest["tokens"]["val"] == sum(map(len, DOCUMENTS))
    assert corpus.manifest["documents"]["val"] == 4 and corpus.train.dtype == np.uint16
    text = corpus.train.tobytes()
    assert sum(np.array(ids, "<u2").tobytes() in text for ids in DOCUMENTS) == 16


def test_the_index_is_that_of_megatron_core(tmp_path: Path) -> None:
    theirs = pytest.importorskip("megatron.core.datasets.indexed_dataset", reason="megatron-core is not installed")
    builder = theirs.IndexedDatasetBuilder(str(tmp_path / "ids.bin"), dtype=np.int32)
    for ids in DOCUMENTS:
        builder.add_document(np.array(ids), [len(ids) - 10, 10])  # two sequences a document
    builder.finalize(str(tmp_path / "ids.idx"))
    found = read_index(tmp_path / "ids.bin", tmp_path / "ids.idx")
    assert found.dtype == "<i4"
    assert found.starts.tolist() == [0, *np.cumsum([len(ids) for ids in DOCUMENTS])]


def test_megatron_files_for_validation_are_held_out_whole(tmp_path: Path) -> None:
    megatron(tmp_path / "train", DOCUMENTS[:15])
    megatron(tmp_path / "val", DOCUMENTS[15:])
    corpus = _prepare(tmp_path, train_tokens=(f"{tmp_path}/train",), val_tokens=(f"{tmp_path}/val",))
    assert np.array_equal(corpus.val, np.concatenate(DOCUMENTS[15:]))
    assert np.array_equal(corpus.train, np.concatenate(DOCUMENTS[:15]))


def test_an_index_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = megatron(tmp_path / "ids", DOCUMENTS)
    index, ids = path.with_suffix(".idx"), path.with_suffix(".bin")
    whole = index.read_bytes()
    assert len(whole) == 34 + 12 * len(DOCUMENTS) + 8 * (len(DOCUMENTS) + 1)
    index.write_bytes(whole[:-3])
    with pytest.raises(InputError, match=r"is cut off at .* bytes; copy it again"):
        read_index(ids, index)
    index.write_bytes(whole[:17] + b"\x07" + whole[18:])  # floats
    with pytest.raises(InputError, match="type 7 hold no token ids"):
        read_index(ids, index)
    index.write_bytes(whole)
    ids.write_bytes(ids.read_bytes()[:-4])
    with pytest.raises(InputError, match=r"is not the index of ids.bin"):
        read_index(ids, index)
    index.write_bytes(b"other")
    assert pair_of(ids) is None


def test_ids_beyond_the_vocabulary_are_refused(tmp_path: Path) -> None:
    megatron(tmp_path / "ids", [*DOCUMENTS, [5000, 1]])
    with pytest.raises(InputError, match=r"token id 5000 is not below corpus.vocab_size 320; raise vocab_size"):
        _prepare(tmp_path, train_tokens=(f"{tmp_path}/ids",))


def test_an_own_tokenizer_gives_its_own_ids(tmp_path: Path) -> None:
    tokenizer = own_tokenizer(tmp_path / "own")
    corpus = _prepare(tmp_path, text=(plain(tmp_path / "texts"),), tokenizer=str(tmp_path / "own" / "tokenizer.json"))
    end = tokenizer.token_to_id("<|endoftext|>")
    tokenizer.encode_special_tokens = True  # a marker in a text is text
    expected = {(*tokenizer.encode(text, add_special_tokens=False).ids, end) for text in TEXTS}
    both = np.concatenate([corpus.train, corpus.val])
    assert {tuple(one.tolist()) for one in np.split(both, np.flatnonzero(both == end) + 1)[:-1]} == expected
    kept = Tokenizer.from_file(str(corpus.path / "tokenizer.json"))
    assert kept.get_vocab() == tokenizer.get_vocab()


def test_the_end_of_a_document_is_what_the_tokenizer_says(tmp_path: Path) -> None:
    own_tokenizer(tmp_path / "own", eos_token={"content": "Ġbeta"})
    config = CorpusConfig(tokenizer=str(tmp_path / "own"), vocab_size=320)
    own = OwnTokenizer.open(config)
    assert own.tokenizer.id_to_token(own.end) == "Ġbeta"
    named = OwnTokenizer.open(config.model_copy(update={"end_token": "Ġgamma"}))
    assert named.end != own.end and named.digest != own.digest
    with pytest.raises(InputError, match=r"has no token 'nothing'; name one of its tokens in corpus.end_token"):
        OwnTokenizer.open(config.model_copy(update={"end_token": "nothing"}))
    with pytest.raises(InputError, match=r"vocab_size 310 is below the 320 ids of .*; set vocab_size: 320"):
        OwnTokenizer.open(config.model_copy(update={"vocab_size": 310}))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("ranks.tiktoken", b"IQ== 0\n", "holds tiktoken's ranks; give the tokenizer.json of the same tokenizer"),
        ("spiece.model", b"\n\x0e\n\x05<unk>", "looks like a SentencePiece model; give the folder"),
        ("tokenizer.json", b"{}", "is no tokenizer.json; give the file that"),
        ("absent/tokenizer.json", None, "no such file; give a tokenizer.json, its folder, or a name"),
    ],
)
def test_what_is_no_tokenizer(name: str, content: bytes | None, says: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=says):
        OwnTokenizer.open(CorpusConfig(tokenizer=str(tmp_path / name)))


def test_a_tokenizer_of_transformers_gives_the_same_ids(tmp_path: Path) -> None:
    """A folder with vocab.json and merges.txt, which only transformers reads."""
    pytest.importorskip("transformers", reason="the extra `hf` is not installed")
    tokenizer = own_tokenizer(tmp_path / "own")
    tokenizer.model.save(str(tmp_path / "own"))
    (tmp_path / "own" / "tokenizer.json").unlink()
    (tmp_path / "own" / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}')
    own = OwnTokenizer.open(CorpusConfig(tokenizer=str(tmp_path / "own"), vocab_size=512))
    assert own.tokenizer.encode(TEXTS[1], add_special_tokens=False).ids == tokenizer.encode(TEXTS[1]).ids
