"""tiktoken is used where it gives the ids of the tokenizers library, and nowhere else."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from lrladder.benchmark.training import tiktoken_ids
from lrladder.benchmark.training.encoding import END_OF_TEXT, train_bpe
from lrladder.benchmark.training.tiktoken_ids import LLAMA3, LONG, coder_of, proven

pytest.importorskip("tiktoken", reason="tiktoken, of the extras `data` and `test`, is not installed")
ODD = (
    "na\u00efve cafe\u0301 \u200b\ufeff \u2028\x85\x1f \u65e5\u672c\u8a9e\u30c6\u30ad\u30b9\u30c8 \u0661\u0662\u0663 "
    "\u2177 \u00bd \U0001f469\u200d\U0001f467\U0001f3fd \u01c4 \u017f '\u017f '\u212a DON'T don't 'LL 'lL "
    "\r\n\t\n   x  \n \u3000\u00a0 <|endoftext|> \0"
)
TEXT = [Path(__file__).read_text(), ODD, "def f(x):\n    return x + 1234567\n" * 40, "aaaa bbbb abab " * 30]


def llama3(**model: Any) -> Tokenizer:
    """Split as Llama 3 is."""
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(LLAMA3), "isolated")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, level])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.encode_special_tokens = True
    return changed(tokenizer, model=model)


def changed(tokenizer: Tokenizer, **parts: dict[str, Any] | None) -> Tokenizer:
    data = json.loads(tokenizer.to_str())
    for part, values in parts.items():
        data[part] = values if data[part] is None or values is None else {**data[part], **values}
    again = Tokenizer.from_str(json.dumps(data))
    again.encode_special_tokens = True
    return again


TOKENIZERS = {"ours": train_bpe(TEXT, 700), "llama3": llama3(), "llama3, ignore_merges": llama3(ignore_merges=True)}


def ids(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    return [coded.ids for coded in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


@pytest.mark.parametrize("name", TOKENIZERS)
def test_it_is_proven_for_these(name: str) -> None:
    assert proven(TOKENIZERS[name]) is not None


# letters of all scripts, marks, digits, spaces, controls and symbols, and pieces that the expressions treat apart
PIECES = st.one_of(
    st.characters(exclude_categories=("Cs",)),
    st.sampled_from(
        [
            "'s",
            "'S",
            "'ll",
            "'\u017f",
            "'\u212a",
            " ",
            "  ",
            "\n",
            "\r\n",
            "\t",
            "\u3000",
            "\x85",
            "\u200d",
            "12",
            "1234",
            "<|",
            "aab",
        ]
    ),
)


@settings(max_examples=300)
@given(st.lists(PIECES, max_size=60).map("".join))
def test_the_ids_are_the_same(text: str) -> None:
    for tokenizer in TOKENIZERS.values():
        assert ENCODINGS[id(tokenizer)].encode_ordinary(text) == ids(tokenizer, [text])[0]


ENCODINGS = {id(tokenizer): proven(tokenizer) for tokenizer in TOKENIZERS.values()}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_long_texts_and_pieces_have_the_same_ids(name: str) -> None:
    tokenizer, fast = TOKENIZERS[name], ENCODINGS[id(TOKENIZERS[name])]
    texts = [*TEXT, "a" * 5000, "ab" * 3000, "é" * 3000, " " * 5000 + "x", "\n" * 5000, "1" * 5000, "-" * 5000, ""]
    assert fast.encode_ordinary_batch(texts) == ids(tokenizer, texts)


def points(step: int) -> Iterator[str]:
    """Texts in which every code point stands beside letters, digits, symbols, spaces and apostrophes.

    Blocks of more than a thousand code points of one kind are sampled: CJK, Hangul, private use, and unassigned planes.
    """
    dense = [*range(0x3400), *range(0xA000, 0xAC00), *range(0xF900, 0x17000), *range(0x1B000, 0x20000)]
    sparse = range(0x3400, sys.maxunicode + 1, 13 * step)
    for point in (*dense[::step], *sparse):
        if not 0xD800 <= point < 0xE000:
            c = chr(point)
            yield f"a{c}b 1{c}2 -{c}+ {c} {c}{c}\n{c}\n '{c}x '{c}e 'l{c}\t{c}"


def watching(pattern: str | None) -> Tokenizer:
    """A vocabulary whose ids show whether a character is in one piece with the one before."""
    before, letters = "a1-'xel +", dict(tiktoken_ids._letters())
    of = {byte: letter for letter, byte in letters.items()}
    merges = [(of[ord(one)], of[byte]) for one in before for byte in (*range(0x21), *range(0x7F, 0x100))]
    vocab = {
        token: number for number, token in enumerate([*letters, *dict.fromkeys("".join(merge) for merge in merges)])
    }
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    split = [pre_tokenizers.Split(Regex(pattern), "isolated")] if pattern else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*split, level]) if split else level
    tokenizer.encode_special_tokens = True
    return tokenizer


@pytest.mark.parametrize("pattern", [None, LLAMA3])
def test_both_libraries_class_characters_alike(pattern: str | None) -> None:
    """The versions in VERSIONS were compared on all code points, 28 November 2026; here is a sample."""
    tokenizer = watching(pattern)
    fast = proven(tokenizer)
    assert fast is not None
    texts = list(points(29))
    assert fast.encode_ordinary_batch(texts) == ids(tokenizer, texts)


def test_what_is_not_proven_takes_the_ordinary_road(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = TOKENIZERS["ours"]
    model = json.loads(ours.to_str())["model"]
    vocab, merges = model["vocab"], model["merges"]
    one, two = "".join(merges[0]), "".join(merges[1])
    swapped = {**vocab, one: vocab[two], two: vocab[one]}
    other = {
        "normalizer": changed(ours, normalizer={"type": "NFC"}),
        "prefix": changed(ours, pre_tokenizer={"add_prefix_space": True}),
        "no regex": changed(ours, pre_tokenizer={"use_regex": False}),
        "order of ids": changed(ours, model={"vocab": swapped}),
        "dropout": changed(ours, model={"dropout": 0.1}),
        "an unknown expression": changed(llama3(), pre_tokenizer=split_by(r"\w+|\W+")),
    }
    for why, tokenizer in other.items():
        assert proven(tokenizer) is None, why
        assert coder_of(tokenizer)([ODD]) if why == "dropout" else coder_of(tokenizer)([ODD]) == ids(tokenizer, [ODD])
    looked_for = changed(ours)
    looked_for.add_tokens(["def"])
    assert proven(looked_for) is None
    marked = changed(ours)
    marked.encode_special_tokens = False
    assert proven(marked) is None
    short = changed(ours)
    short.enable_truncation(3)
    assert proven(short) is None
    monkeypatch.setitem(tiktoken_ids.VERSIONS, "tiktoken", "0.13.0")
    assert proven(ours) is None
    monkeypatch.setitem(tiktoken_ids.VERSIONS, "no such library", "1")
    assert proven(ours) is None


def split_by(pattern: str) -> dict[str, Any]:
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {"type": "Sequence", "pretokenizers": [split, level]}


def test_a_token_that_its_own_letters_do_not_make_is_not_proven() -> None:
    """With the merges ab, then a+bc -> abc, the letters abc end as ab and c; tiktoken would merge these."""
    letters = list(dict(tiktoken_ids._letters()))
    vocab = {token: number for number, token in enumerate([*letters, "ab", "bc", "abc"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[("a", "b"), ("b", "c"), ("a", "bc")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.encode_special_tokens = True
    assert ids(tokenizer, ["abc"]) == [[vocab["ab"], vocab["c"]]]
    assert proven(tokenizer) is None


def test_texts_that_tiktoken_cannot_take_go_the_ordinary_road() -> None:
    tokenizer = TOKENIZERS["ours"]
    spaces = " " * (LONG + 1)
    assert not tiktoken_ids._safe(spaces)  # it panics at some more
    assert coder_of(tokenizer)([spaces, "x"]) == ids(tokenizer, [spaces, "x"])
    with pytest.raises(TypeError, match="TextInputSequence"):
        coder_of(tokenizer)(["half a pair: \ud800"])
    assert END_OF_TEXT not in tokenizer.decode(coder_of(tokenizer)(["x"])[0])
