"""Parts of a regret study's config: the ladder, how entries are scored, and the law of a simulated study."""

from typing import Any, Self

from pydantic import Field, PositiveInt, model_validator

from lrladder.benchmark.config.parts import Seed, Strict
from lrladder.benchmark.lab.truth import Bowl, TrueLaw
from lrladder.benchmark.ladder import Base
from lrladder.benchmark.studies.config import READ_AFTER_DECAY
from lrladder.models.architecture import OWN, Architecture
from lrladder.paradigms.lab import Part
from lrladder.paradigms.sweep.grid import on_lattice


class RungConfig(Strict):
    """One rung as the user writes it. A value of None is filled in from the ladder or the schedule."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    part: Part  # proxy, target or goal
    width: PositiveInt
    depth: PositiveInt
    horizons: tuple[PositiveInt, ...] = Field(min_length=1)  # tokens
    continued: tuple[PositiveInt, ...] = ()  # longer horizons, to which a target's runs go on without a new LR
    batch_tokens: PositiveInt | None = None
    # A None is left out of the dumped config, so that the digests of configs from before these keys stay the same.
    # None means: width / head_size heads, one key-value head for each head, and expert_ratio times the width.
    heads: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)
    kv_heads: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)
    expert_width: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)
    shared_width: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)
    dense_blocks: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)
    dense_width: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)
    warmup_tokens: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)


class LadderConfig(Strict):
    """The rungs, and the sizes that all of them share. Ratios are fixed, so a larger rung is the same kind of model.

    The default sizes are assumptions: small models that a CPU can train.
    """

    head_size: PositiveInt = 16
    num_experts: PositiveInt = 8
    top_k: PositiveInt = 2
    expert_ratio: float = Field(1.0, gt=0, le=64)  # expert_width / width
    shared_ratio: float = Field(0.0, ge=0, le=64)  # width of the shared expert / width; 0 means no shared expert
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
    """How proposals are trained and the oracle sweeps the LR at targets.

    Both use the same seeds, so that a regret compares runs of the same seed.
    """

    seeds: tuple[Seed, ...] = Field((0, 1, 2), min_length=2)  # of proposals; 2 would find too little (docs/decision.md)
    oracle_seeds: tuple[Seed, ...] | None = Field(None, min_length=2)  # of sweeps, out of `seeds`; None: the first two
    oracles: tuple[str, ...] | None = None  # labels of the arms to sweep, such as "mup+power"; None: of all entries
    oracle_lr_guess: float | None = Field(None, ge=1e-8, le=100)  # middle of the sweeps' grids; None: from an entry
    oracle_points: int = Field(3, ge=3, le=32)
    oracle_factor: float = Field(2.0, ge=1.05, le=100)
    max_extensions: int = Field(4, ge=0, le=32)
    oracle_refine: bool = True  # at the end try the best LR times and divided by sqrt(oracle_factor)
    snap_proposals: bool = True  # move proposals to a lattice of 1/16 octave, so that near proposals share runs

    @model_validator(mode="before")
    @classmethod
    def _decays(cls, data: Any) -> Any:
        if isinstance(data, dict) and "read" in data:
            raise ValueError(READ_AFTER_DECAY)
        return data

    @model_validator(mode="after")
    def _on_lattice(self) -> Self:
        if self.snap_proposals and not on_lattice(self.oracle_factor):
            raise ValueError(
                f"snap_proposals: no lattice of 1/16 octave holds a grid of oracle_factor {self.oracle_factor:g}; "
                "set oracle_factor to a power of 2 or of sqrt(2), or set snap_proposals to false"
            )
        return self

    @property
    def sweep_seeds(self) -> tuple[Seed, ...]:
        """The seeds of the oracle's sweeps."""
        return self.seeds[:2] if self.oracle_seeds is None else self.oracle_seeds


class SimulatedConfig(Strict):
    """Losses from a known law in place of training, for ladders that are too large for this machine.

    A simulated study says nothing about real models.
    """

    law: TrueLaw  # its `mup_base` and `mup_tokens` are replaced by the parameters and tokens of the study's base
    bowl: Bowl = Bowl()
    seed: Seed = 0

    def law_for(self, base: Base) -> TrueLaw:
        """The law with its muP base set to `base`, from which the best LR of all parametrizations but `sp` scales."""
        return self.law.model_copy(update={"mup_base": base.shape.n_active, "mup_tokens": base.tokens})
