"""Which kind of source a corpus is: plain text, plain token files, or documents of any format."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lrladder.benchmark.config.corpus import CorpusConfig
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.training.files import expand
from lrladder.benchmark.training.sources import TextFiles, TokenFiles
from lrladder.benchmark.training.text.looks import COMPRESSED, kind_of
from lrladder.benchmark.training.text.mixture import Mixture
from lrladder.benchmark.training.text.token_documents import is_indexed

Source = TextFiles | TokenFiles | Mixture

TOGETHER = "corpus: train_tokens and val_tokens go together; give the missing one"


def source_of(config: CorpusConfig) -> Source:
    """Raises InputError for keys that contradict each other, and for files that are not there."""
    _check(config)
    if config.train_tokens and not is_indexed(config):
        if not config.val_tokens:
            raise InputError(TOGETHER)
        return TokenFiles.find(config)
    if config.text and not config.tokenizer and _is_plain(config):
        return TextFiles.find(config)
    if config.sources or config.text or config.dataset or config.train_tokens:
        return Mixture.find(config)
    if config.tokenizer:
        raise InputError("corpus.tokenizer: the default text has one of its own; name your text in corpus.text")
    return TextFiles.find(config)


def _check(config: CorpusConfig) -> None:
    tokens = bool(config.train_tokens or config.val_tokens)
    named = {"text": config.text, "token files": tokens, "dataset": config.dataset, "sources": config.sources}
    given = [name for name, value in named.items() if value]
    if config.packages and given:
        raise InputError(
            "corpus: packages adds text to Python's own sources, but the config names files instead; keep one of them"
        )
    if len(given) > 1:
        both = f"{given[0]} and {given[1]} are both given"
        raise InputError(f"corpus: {both}; keep one of them, or name them under corpus.sources, each with a weight")
    if config.val_tokens and not config.train_tokens:
        raise InputError(TOGETHER)
    if tokens and config.tokenizer:
        raise InputError("corpus.tokenizer: token files hold ids already; leave it out")


def _is_plain(config: CorpusConfig) -> bool:
    """Whether all files are text as it stands. Raises InputError for a file that looks like something else."""
    paths: list[Path] = expand(config.text, "corpus.text")
    kinds = {kind_of(path, config.format) for path in paths}
    return kinds == {"text"} and not any(path.suffix in COMPRESSED for path in paths)


def by_weight(weights: Sequence[float], count: int) -> list[int]:
    """`count` shared out by weights: whole numbers, the largest remainders rounded up (Hamilton's method)."""
    exact = np.array(weights) / sum(weights) * count
    shares = np.floor(exact).astype(np.int64)
    shares[np.argsort(shares - exact, kind="stable")[: count - shares.sum()]] += 1
    return [int(share) for share in shares]
