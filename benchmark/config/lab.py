"""Where the runs of a study are trained: here, or by a trainer of the user's own."""

import hashlib
from typing import Literal, Self

from pydantic import Field, model_validator

from lrladder.benchmark.config.strict import Strict

TrainedPart = Literal["proxy", "target"]  # no goal is trained
ALL_PARTS: tuple[TrainedPart, ...] = ("proxy", "target")


class LabConfig(Strict):
    """`trained`: all runs are trained here. `external`: those of `parts` are trained elsewhere, on the text `data`."""

    kind: Literal["trained", "external"] = "trained"
    """Who trains: LR Ladder itself, or a trainer of your own (docs/own-trainer.md)."""
    data: str | None = Field(None, min_length=1, max_length=200)
    """Your own name for the text. It is in the ids of these runs, so runs on another text need another name."""
    parts: tuple[TrainedPart, ...] = Field(ALL_PARTS, min_length=1)
    """Parts of the ladder whose runs are trained elsewhere."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kind == "external" and self.data is None:
            raise ValueError("data is missing: name the text that your trainer reads, as in data: our corpus v3")
        if self.kind == "trained" and (self.data, self.parts) != (None, ALL_PARTS):
            raise ValueError("data and parts say what is trained elsewhere; write kind: external, or remove them")
        return self

    def has(self, part: str) -> bool:
        """Whether runs of this part of the ladder are trained elsewhere."""
        return self.kind == "external" and part in self.parts

    @property
    def digest(self) -> str:
        """What stands in the ids of the runs that are trained elsewhere, where others have the digest of the corpus."""
        return hashlib.sha256(f"external {self.data}".encode()).hexdigest()[:16]


HERE = LabConfig()
