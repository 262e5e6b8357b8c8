"""Parts of a regret study's config: its ladder, how it is scored, and losses that are simulated."""

from typing import Any, Self

from pydantic import Field, PositiveInt, model_validator

from lrladder.benchmark.config.parts import Seed, Strict
from lrladder.benchmark.lab.simulated import Bowl, TrueLaw
from lrladder.benchmark.ladder import Base
from lrladder.models.architecture import OWN, Architecture
from lrladder.paradigms.lab import Part
from lrladder.paradigms.sweep.grid import on_lattice


class RungConfig(Strict):
    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    part: Part  # a goal is never trained: the study only answers for it
    width: PositiveInt
    depth: PositiveInt
    horizons: tuple[PositiveInt, ...] = Field(min_length=1)
    continued: tuple[PositiveInt, ...] = ()  # longer ones, to which a target's runs are continued at their own LR
    batch_tokens: PositiveInt | None = None
    # None: as many as fit the width, and the ladder's ratio; left out of a dump, so that digests stay as they were
    heads: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)
    kv_heads: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)
    expert_width: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)
    shared_width: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)
    dense_blocks: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)
    dense_width: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)
    warmup_tokens: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)  # None: the schedule's


class LadderConfig(Strict):
    """Sizes shared by all rungs. Ratios stay fixed so that each rung is the same model, larger."""

    head_size: PositiveInt = 16
    num_experts: PositiveInt = 8
    top_k: PositiveInt = 2
    expert_ratio: float = Field(1.0, gt=0, le=64)  # expert_width / width
    shared_ratio: float = Field(0.0, ge=0, le=64)  # shared expert width / width; 0 is no shared expert
    # Blocks before those with experts that are dense, and their hidden width / width
    dense_blocks: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)
    dense_ratio: float | None = Field(None, gt=0, le=64, exclude_if=lambda given: given is None)
    seq_len: PositiveInt = 128
    batch_tokens: PositiveInt = 2048
    architecture: Architecture = Field(OWN, exclude_if=lambda given: given == OWN)
    rungs: tuple[RungConfig, ...] = Field(min_length=1, max_length=256)

    @model_validator(mode="after")
    def _all_alike(self) -> Self:
        """The rules need the ratio of each width to the base's, so no rung alone has a kind of block."""
        if (self.dense_blocks is None) != (self.dense_ratio is None):
            raise ValueError("dense_blocks and dense_ratio go together; give both or neither")
        for rung in self.rungs:
            if self.dense_blocks is None and (rung.dense_blocks or rung.dense_width):
                raise ValueError(
                    f"rung {rung.name} has dense blocks; give dense_blocks and dense_ratio to the ladder too"
                )
            if not self.shared_ratio and rung.shared_width:
                raise ValueError(f"rung {rung.name} has a shared expert; give shared_ratio to the ladder too")
        return self

    def widths_of(self, rung: RungConfig) -> dict[str, Any]:
        """Hidden widths and dense blocks of a rung: its own, else the ladder's ratios of its width."""
        dense = None if self.dense_ratio is None else max(1, round(self.dense_ratio * rung.width))
        return {
            "expert_width": rung.expert_width or max(1, round(self.expert_ratio * rung.width)),
            "shared_width": rung.shared_width or round(self.shared_ratio * rung.width),
            "dense_blocks": rung.dense_blocks or self.dense_blocks,
            "dense_width": rung.dense_width or dense,
        }


class ValidationConfig(Strict):
    """How proposals and the oracle are scored at targets. The same seeds serve both, so regret is paired."""

    seeds: tuple[Seed, ...] = Field((0, 1, 2), min_length=2)  # of the proposals; docs/decision.md: 2 find too little
    oracle_seeds: tuple[Seed, ...] | None = Field(None, min_length=2)  # of the sweeps, some of `seeds`; None: first two
    oracles: tuple[str, ...] | None = None  # parametrizations that are swept, as "mup+power"; None: all of the entries
    oracle_lr_guess: float | None = Field(None, ge=1e-8, le=100)  # of the sweeps' grids; None: that of an entry
    oracle_points: int = Field(3, ge=3, le=32)
    oracle_factor: float = Field(2.0, ge=1.05, le=100)
    max_extensions: int = Field(4, ge=0, le=32)
    oracle_refine: bool = True  # a last step of the root of the factor to either side of each bracketed best
    snap_proposals: bool = True  # to a lattice of 1/16 octave that holds the sweeps' grids: near ones share runs

    @model_validator(mode="before")
    @classmethod
    def _decays(cls, data: Any) -> Any:
        if isinstance(data, dict) and "read" in data:
            raise ValueError("read: what is scored is read after its decay; give read to an entry, for its search")
        return data

    @model_validator(mode="after")
    def _on_lattice(self) -> Self:
        if self.snap_proposals and not on_lattice(self.oracle_factor):
            raise ValueError(
                f"snap_proposals: no lattice of 1/16 octave holds a grid of oracle_factor {self.oracle_factor:g}; "
                "give a power of 2 or of its root, or turn it off"
            )
        return self

    @property
    def sweep_seeds(self) -> tuple[Seed, ...]:
        return self.seeds[:2] if self.oracle_seeds is None else self.oracle_seeds


class SimulatedConfig(Strict):
    """Losses from a known law, with no training: for ladders past this machine. Nothing is said of real models."""

    law: TrueLaw  # `mup_base` and `mup_tokens` are those of the study's base
    bowl: Bowl = Bowl()
    seed: Seed = 0

    def law_for(self, base: Base) -> TrueLaw:
        """The law, with the base as what every parametrization but `sp` counts from."""
        return self.law.model_copy(update={"mup_base": base.shape.n_active, "mup_tokens": base.tokens})
