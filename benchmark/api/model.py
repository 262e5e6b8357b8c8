"""The user's own model, and the run that it is to be trained in."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Union

from lrladder.benchmark.api.spoken import spoken
from lrladder.benchmark.api.view import view
from lrladder.benchmark.design.public_config import Public, public_of, read_public
from lrladder.benchmark.errors import LARGEST, InputError
from lrladder.models.shape import ModelShape

if TYPE_CHECKING:
    from transformers import PretrainedConfig


@dataclass(frozen=True)
class Model:
    """A mixture-of-experts model that you will train, from its config.json."""

    public: Public

    @classmethod
    @spoken
    def from_hf(cls, config: Union[str, Path, "PretrainedConfig"], *, seq_len: int | None = None) -> "Model":
        """The model of a config.json, given by its path, or of a config of transformers.

        `seq_len`: tokens of a sequence in your training. By default they are the model's own, at most 4,096.

        Raises InputError, which names everything that LR Ladder's model cannot represent.
        """
        if isinstance(config, str | Path):
            return cls(read_public(Path(config), seq_len=seq_len))
        data = json.loads(config.to_json_string())
        return cls(public_of(data, source=f"the {type(config).__name__}", seq_len=seq_len))

    @property
    def shape(self) -> ModelShape:
        """All sizes, and what the blocks compute."""
        return self.public.shape

    @property
    def n_active(self) -> int:
        """Non-embedding parameters that one token uses."""
        return self.shape.n_active

    @property
    def n_total(self) -> int:
        """Non-embedding parameters, with all experts."""
        return self.shape.n_total

    @property
    def left_out(self) -> tuple[str, ...]:
        """What the config says and LR Ladder's model does not represent, in words."""
        return self.public.left_out

    def _repr_html_(self) -> str:
        left_out = f"left out: {'; '.join(self.left_out) or 'nothing'}"
        return view(f"{self.public.model_type}: {self.n_active:,} active of {self.n_total:,} parameters", (left_out,))


@dataclass(frozen=True)
class Goal:
    """The run that you want an LR for: training tokens in all, and tokens of one step. Raises InputError."""

    tokens: float
    batch_tokens: float

    def __post_init__(self) -> None:
        for name in ("tokens", "batch_tokens"):
            value = getattr(self, name)
            if not 1 <= value <= LARGEST:
                raise InputError(f"Goal: {name} {value:g} is no number of tokens; give a finite number from 1")
        if self.batch_tokens > self.tokens:
            raise InputError(
                f"Goal: batch_tokens {self.batch_tokens:g} is more than tokens {self.tokens:g}: one step would be more "
                "than the whole run; give the tokens of one step"
            )
