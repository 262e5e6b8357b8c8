"""From texts to token ids: a byte-level BPE trained on them, and how any tokenizer is applied."""

import os
from collections.abc import Iterable, Iterator

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from lrladder.benchmark.training.tiktoken_ids import Coder

END_OF_TEXT = "<|endoftext|>"
BPE_SAMPLE = 8_000_000  # characters for training the BPE; more would change few merges of a small vocabulary
PIECE = 1_000_000  # characters encoded at once, to limit memory; each cut of a longer file costs a token


def train_bpe(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """A byte-level BPE of the first BPE_SAMPLE characters, with END_OF_TEXT as its only special token."""
    parallel()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_sample(texts), trainer)
    tokenizer.encode_special_tokens = True  # a marker inside a text is text, not the end of a document
    return tokenizer


def parallel() -> None:
    """Encode on all cores. If this is unset, the library warns at every later fork. Workers never tokenize."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")


def _sample(texts: Iterable[str]) -> Iterator[str]:
    left = BPE_SAMPLE  # texts are in hash order, so the first ones are a random sample
    for text in texts:
        if left <= 0:
            return
        yield text[:left]
        left -= len(text)


def encode(code: Coder, end: int, texts: Iterable[str]) -> Iterator[list[int]]:
    """The ids of each text, with `end` after them. Long texts are cut into pieces. `code`: of `coder_of`."""
    owners, pieces = [], []
    count = 0
    for count, text in enumerate(texts, 1):
        cut = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
        owners += [count - 1] * len(cut)
        pieces += cut
    ids: list[list[int]] = [[] for _ in range(count)]
    for owner, coded in zip(owners, code(pieces), strict=True):
        ids[owner] += coded
    return ([*one, end] for one in ids)
