"""tiktoken in the place of the tokenizers library, which is slower, where both are proven to give the same ids.

Both split a text into pieces by a regular expression, and merge the bytes of each piece. They are equal if

* the pieces are: the expression is one of PATTERNS, and the versions are those in which a test found the two engines to
  class all code points alike; nothing changes the text before; and no added token is looked for in it;
* the merges are. tokenizers merges the pairs that it lists, in their order. tiktoken merges any two neighbours that
  are a token together, the one with the lowest id first. Say that the ids rise in the order of the list, and that the
  listed merges turn the bytes of every token into this token. Then the two never differ. Take the first neighbours
  (u, v) that tiktoken merges to w and tokenizers does not. Nothing was merged across the ends of w so far, so within w
  both have done what they do with w alone. There tokenizers is left with u and v, and never reaches w: a contradiction.
"""

import importlib.metadata
import json
import os
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from tokenizers import Tokenizer, models

Coder = Callable[[list[str]], list[list[int]]]

VERSIONS = {"tiktoken": "0.14.0", "tokenizers": "0.23.3"}  # in which all code points were compared, 28 November 2026
# of tokenizers' ByteLevel, which is GPT-2's, and of GPT-4 and Llama 3
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PATTERNS = (GPT2, LLAMA3)
# tiktoken's regular expressions overflow at a run of 500,000 to 1,000,000 spaces; such texts are not given to it.
LONG = 250_000
_RUN = re.compile(rf"\s{{{LONG}}}")


def coder_of(tokenizer: Tokenizer) -> Coder:
    """What turns texts into ids: tiktoken where the ids are proven to be the same, else the tokenizer itself."""
    fast = proven(tokenizer)

    def ordinary(texts: list[str]) -> list[list[int]]:
        return [coded.ids for coded in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    def coded(texts: list[str]) -> list[list[int]]:
        if fast is None or not all(map(_safe, texts)):
            return ordinary(texts)
        return fast.encode_ordinary_batch(texts, num_threads=os.cpu_count() or 1)

    return coded


def proven(tokenizer: Tokenizer) -> Any:
    """tiktoken's Encoding with the same ids; None if they are not proven to be the same, or if it is not installed."""
    if any(_version(name) != version for name, version in VERSIONS.items()):
        return None
    data = json.loads(tokenizer.to_str())
    pattern, model = _pattern(data), data["model"]
    if (
        pattern is None
        or not tokenizer.encode_special_tokens
        or not all(one["special"] for one in data["added_tokens"])
    ):
        return None
    ranks = _ranks(model)
    if ranks is None:
        return None
    import tiktoken

    return tiktoken.Encoding("proven", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _pattern(data: dict[str, Any]) -> str | None:
    """By what the text is split; None if anything else happens to the text, or if the expression is not known."""
    if any(data[key] is not None for key in ("normalizer", "truncation", "padding")):
        return None
    steps = data["pre_tokenizer"] or {}
    *before, last = steps["pretokenizers"] if steps.get("type") == "Sequence" else [steps]
    if last.get("type") != "ByteLevel" or last["add_prefix_space"]:
        return None
    if not before and last["use_regex"]:
        return GPT2
    known = ({"type": "Split", "pattern": {"Regex": one}, "behavior": "Isolated", "invert": False} for one in PATTERNS)
    return before[0]["pattern"]["Regex"] if len(before) == 1 and before[0] in known and not last["use_regex"] else None


def _ranks(model: dict[str, Any]) -> dict[bytes, int] | None:
    """The id of each sequence of bytes; None if the merges are not proven to be those of tiktoken."""
    unset = ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")
    if model["type"] != "BPE" or any(model[key] for key in unset):
        return None
    vocab, letters = model["vocab"], dict(_letters())
    merges = [tuple(merge) for merge in model["merges"]]
    made = ["".join(merge) for merge in merges]
    rising = all(vocab[one] < vocab[two] for one, two in pairwise(made))
    whole = {*letters, *made} <= set(vocab) and (not model["ignore_merges"] or len(vocab) == len(letters) + len(made))
    if not rising or not whole:
        return None
    alone = models.BPE(vocab=vocab, merges=merges)
    if any([token.id for token in alone.tokenize(token)] != [vocab[token]] for token in made):
        return None
    return {bytes(letters[letter] for letter in token): vocab[token] for token in (*letters, *made)}


def _letters() -> Iterator[tuple[str, int]]:
    """The letter that stands for each byte in a byte-level vocabulary, as in GPT-2's encoder.py."""
    shown = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    hidden = (byte for byte in range(256) if byte not in shown)
    yield from ((chr(byte), byte) for byte in sorted(shown))
    yield from ((chr(256 + number), byte) for number, byte in enumerate(hidden))


def _safe(text: str) -> bool:
    """Whether tiktoken can be given the text: it has no half of a surrogate pair, and no very long run of spaces."""
    if len(text) > LONG and _RUN.search(text):
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
