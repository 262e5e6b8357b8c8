"""The corpus of a study: where its text or tokens are, and how they become training and validation tokens."""

from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from lrladder.benchmark.config.strict import Strict

Format = Literal["auto", "text", "jsonl", "parquet", "arrow"]


def _newer(default: Any, description: str) -> Any:
    """A key that older configs lack. At its default it is not written, so the digests of those configs stay."""
    return Field(default, exclude_if=lambda given: given == default, description=description)


class SourceKeys(Strict):
    """Where documents come from: one of `text`, `dataset` and `train_tokens`."""

    text: tuple[str, ...] = Field((), description="Paths or globs of text files, JSON lines, Parquet or Arrow files.")
    train_tokens: tuple[str, ...] = Field(
        (), description="Token ids: Megatron's .bin with its .idx, or .bin files without index as nanoGPT writes them."
    )
    val_tokens: tuple[str, ...] = Field((), description="The same for validation; Megatron's files can do without.")
    token_dtype: Literal["uint16", "uint32"] = Field("uint16", description="Type of the ids in files without index.")
    dataset: str = _newer("", "A folder that `save_to_disk` wrote, or a dataset's name on the Hugging Face hub.")
    subset: str = _newer("", "The configuration of a dataset on the hub that has several.")
    split: str = _newer("train", "The split of the dataset.")
    revision: str = _newer("", "The commit, tag or branch of a dataset on the hub.")
    column: str = _newer("text", "The field of a record that holds its text.")
    format: Format = _newer("auto", "How the files of `text` are read. `auto` goes by name and content.")


class SourceConfig(SourceKeys):
    """One source of a mixture."""

    weight: PositiveFloat = Field(description="Its share of the training tokens, relative to the other sources.")


class CorpusConfig(SourceKeys):
    """Text to train on. Without any source it is the source code of the running Python's standard library."""

    packages: bool = False
    """Whether the sources of installed packages are read too: ten times the text, and not the same everywhere."""
    sources: dict[str, SourceConfig] = _newer({}, "Several sources by name, each with a weight.")
    prepared: str = _newer("", "A folder that `lrladder prepare --out` wrote, instead of any source.")
    tokenizer: str = _newer("", "A tokenizer.json, a folder that has one, or a name that transformers knows.")
    end_token: str = _newer("", "The token after each document, where the tokenizer does not say which.")
    vocab_size: int = Field(1024, ge=300)
    """Number of token ids: 256 bytes and the merges of the BPE. A tokenizer of yours must fit in it."""
    val_fraction: float = Field(0.05, gt=0, lt=0.5)
    """Share of the files, or of the documents, that is kept for validation."""
    max_bytes: PositiveInt = 64_000_000
    """Most bytes of text that are read."""
    val_documents: PositiveInt = 64
    """Number of validation windows of seq_len + 1 tokens, each from another file if there are enough."""


class CorpusFile(Strict):
    """A file that names a corpus and no study."""

    corpus: CorpusConfig
