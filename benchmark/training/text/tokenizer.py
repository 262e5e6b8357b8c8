"""The user's tokenizer: a tokenizer.json, a folder that has one, or a name that transformers knows."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from lrladder.benchmark.config.corpus import CorpusConfig
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.reading import LOG_BYTES, parse_json, read_text, why
from lrladder.benchmark.training.files import stable_hash
from lrladder.benchmark.training.text.extras import library
from lrladder.benchmark.training.text.looks import head_of, magic_of
from lrladder.benchmark.training.tiktoken_ids import Coder, coder_of

# Names of the end of a document: GPT-2 and OLMo, Llama 3, Llama 2 and Mistral, DeepSeek, Gemma, Qwen
ENDS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<\uff5cend\u2581of\u2581sentence\uff5c>", "<eos>", "<|im_end|>")
TIMEOUT = 20.0  # seconds for the hub to say that it has a name
SETTINGS_FILE = "tokenizer_config.json"  # beside tokenizer.json; its eos_token names the end


@dataclass(frozen=True)
class OwnTokenizer:
    """A tokenizer and the id that ends a document. Markers inside a text are text, as they are in ours."""

    tokenizer: Tokenizer
    end: int

    @property
    def size(self) -> int:
        """One more than the largest id."""
        return max(self.tokenizer.get_vocab(with_added_tokens=True).values()) + 1

    @cached_property
    def code(self) -> Coder:
        """Turns texts into ids."""
        return coder_of(self.tokenizer)

    @property
    def digest(self) -> str:
        return stable_hash("tokenizer", json.dumps([self.tokenizer.to_str(), self.end]))

    @classmethod
    def open(cls, config: CorpusConfig) -> "OwnTokenizer":
        """Raises InputError for what is no tokenizer, has no known end, or does not fit in vocab_size."""
        tokenizer, end = _found(config.tokenizer)
        own = cls.of(tokenizer, config.end_token or end)
        if own.size > config.vocab_size:
            raise InputError(
                f"corpus.vocab_size {config.vocab_size:,} is below the {own.size:,} ids of {config.tokenizer}; "
                f"set vocab_size: {own.size} (a larger multiple of 128 may be faster)"
            )
        return own

    @classmethod
    def of(cls, tokenizer: Tokenizer, end: str) -> "OwnTokenizer":
        """`end`: the token's text, or "" for one of ENDS."""
        ids = [tokenizer.token_to_id(name) for name in ([end] if end else ENDS)]
        known = [token for token in ids if token is not None]
        if not known:
            missing = f"has no token {end!r}" if end else "does not say which token ends a document"
            raise InputError(f"corpus.tokenizer: it {missing}; name one of its tokens in corpus.end_token")
        tokenizer.encode_special_tokens = True
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return cls(tokenizer, known[0])


def _found(name: str) -> tuple[Tokenizer, str]:
    """The tokenizer, and the text of its end if it says so."""
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "tokenizer.json").is_file():
            return _of_transformers(name)
        path = path / "tokenizer.json"
    if path.is_file():
        return _of_file(path), _end_beside(path)
    if name.startswith((".", "/", "~")) or name.endswith(".json") or name.count("/") > 1:
        raise InputError(f"corpus.tokenizer: {name}: no such file; give a tokenizer.json, its folder, or a name")
    return _of_transformers(name)


def _of_file(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise InputError(f"corpus.tokenizer: {path} {_not_one(path)} ({why(error)})") from error


def _not_one(path: Path) -> str:
    head = head_of(path)
    if path.suffix == ".model" or b"<unk>" in head[:64]:
        return "looks like a SentencePiece model; give the folder that transformers' save_pretrained wrote for it"
    if path.suffix == ".tiktoken":
        return "holds tiktoken's ranks; give the tokenizer.json of the same tokenizer, it gives the same ids"
    if look := magic_of(head):
        return f"looks like {look.what}, not like a tokenizer; give a tokenizer.json"
    return "is no tokenizer.json; give the file that transformers' save_pretrained wrote"


def _end_beside(path: Path) -> str:
    try:
        named: Any = parse_json(read_text(path.parent / SETTINGS_FILE, LOG_BYTES)).get("eos_token")
    except (OSError, ValueError, AttributeError):
        return ""
    named = named.get("content") if isinstance(named, dict) else named
    return named if isinstance(named, str) else ""


def _of_transformers(name: str) -> tuple[Tokenizer, str]:
    transformers = library("transformers", "hf", f"corpus.tokenizer: {name} as a tokenizer of transformers")
    load = transformers.AutoTokenizer.from_pretrained
    try:
        found = load(name, local_files_only=True, trust_remote_code=False)
    except Exception as here:  # many kinds: no such name, files that are missing
        try:
            if Path(name).expanduser().is_dir():
                raise
            hub = library("huggingface_hub", "hf", f"corpus.tokenizer: {name}")
            hub.HfApi().model_info(name, timeout=TIMEOUT)  # tells within seconds what the loader tells after a minute
            found = load(name, trust_remote_code=False)
        except Exception as error:
            where = "where there is a network, save it with save_pretrained and give that folder"
            raise InputError(f"corpus.tokenizer: transformers cannot load {name} ({why(error)}); {where}") from here
    backend = getattr(found, "backend_tokenizer", None)
    if backend is None:
        raise InputError(f"corpus.tokenizer: {name} has no fast tokenizer; convert it to a tokenizer.json")
    return Tokenizer.from_str(backend.to_str()), found.eos_token or ""
