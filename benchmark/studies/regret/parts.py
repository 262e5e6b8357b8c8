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
    """One rung as the user writes it. What is left out is filled in from the ladder or the schedule."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    """Name of the rung."""
    part: Part
    """Searches may run proxies only. Targets are trained to score the answers, and goals are not trained at all."""
    width: PositiveInt
    """Width of the residual stream."""
    depth: PositiveInt
    """Number of blocks."""
    horizons: tuple[PositiveInt, ...] = Field(min_length=1)
    """Token counts at which runs of this rung are read, in tokens."""
    continued: tuple[PositiveInt, ...] = ()
    """Longer horizons, in tokens, to which a target's runs go on without a new LR."""
    batch_tokens: PositiveInt | None = None
    """Batch in tokens. null: that of the ladder."""
    # A None is left out of the dumped config, so that the digests of configs from before these keys stay the same.
    heads: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)
    """Number of attention heads. null: width / head_size."""
    kv_heads: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)
    """Number of key-value heads. null: one for each head."""
    expert_width: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)
    """Hidden width of one routed expert. null: expert_ratio times the width."""
    shared_width: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)
    """Hidden width of the shared expert. null: shared_ratio times the width."""
    dense_blocks: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)
    """Number of dense blocks before those with experts. null: that of the ladder."""
    dense_width: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)
    """Hidden width of the dense blocks. null: dense_ratio times the width."""
    kv_rank: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)
    """Width of the latent of keys and values. null: kv_rank_ratio times the width."""
    q_rank: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)
    """Width of the latent of queries. null: q_rank_ratio times the width."""
    warmup_tokens: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)
    """Length of the warm-up in tokens. null: that of the schedule."""


class LadderConfig(Strict):
    """The rungs, and the sizes that all of them share. Ratios are fixed, so a larger rung is the same kind of model.

    The default sizes are assumptions: small models that a CPU can train.
    """

    head_size: PositiveInt = 16
    """Width of one attention head."""
    num_experts: PositiveInt = 8
    """Number of routed experts in each block; 1 for dense models."""
    top_k: PositiveInt = 2
    """Number of routed experts that each token uses."""
    expert_ratio: float = Field(1.0, gt=0, le=64)
    """Hidden width of one routed expert, divided by the width."""
    shared_ratio: float = Field(0.0, ge=0, le=64)
    """Hidden width of the shared expert, divided by the width. 0 means no shared expert."""
    dense_blocks: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)
    """Number of dense blocks before those with experts. null: none."""
    dense_ratio: float | None = Field(None, gt=0, le=64, exclude_if=lambda given: given is None)
    """Hidden width of the dense blocks, divided by the width."""
    kv_rank_ratio: float | None = Field(None, gt=0, le=64, exclude_if=lambda given: given is None)
    """Width of the latent of keys and values (multi-head latent attention), divided by the width. null: none."""
    q_rank_ratio: float | None = Field(None, gt=0, le=64, exclude_if=lambda given: given is None)
    """Width of the latent of queries, divided by the width. null: queries are computed from the residual stream."""
    rope_size: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)
    """With kv_rank_ratio: entries at the end of each head that RoPE turns."""
    value_size: PositiveInt | None = Field(None, exclude_if=lambda given: given is None)
    """With kv_rank_ratio: width of one head of values. head_size is that of queries and keys."""
    seq_len: PositiveInt = 128
    """Tokens of one training sequence."""
    batch_tokens: PositiveInt = 2048
    """Batch of all rungs that have none of their own, in tokens."""
    architecture: Architecture = Field(OWN, exclude_if=lambda given: given == OWN)
    """What the blocks compute, such as norms and RoPE."""
    rungs: tuple[RungConfig, ...] = Field(min_length=1, max_length=256)
    """The model sizes of the ladder."""

    @model_validator(mode="after")
    def _all_alike(self) -> Self:
        """The rules need the ratio of each width to the base's, so no rung alone has a kind of block."""
        if (self.dense_blocks is None) != (self.dense_ratio is None):
            raise ValueError("dense_blocks and dense_ratio go together; give both or neither")
        of_latents = (self.kv_rank_ratio, self.rope_size, self.value_size)
        if any(of_latents) != all(of_latents) or (self.q_rank_ratio and not self.kv_rank_ratio):
            raise ValueError(
                "latent attention needs kv_rank_ratio, rope_size and value_size, and may have q_rank_ratio; give all "
                "three, or none of the four"
            )
        for rung in self.rungs:
            if self.dense_blocks is None and (rung.dense_blocks or rung.dense_width):
                raise ValueError(
                    f"rung {rung.name} has dense blocks; give dense_blocks and dense_ratio to the ladder too"
                )
            if not self.shared_ratio and rung.shared_width:
                raise ValueError(f"rung {rung.name} has a shared expert; give shared_ratio to the ladder too")
            for rank in ("kv_rank", "q_rank"):
                if getattr(rung, rank) and getattr(self, f"{rank}_ratio") is None:
                    raise ValueError(f"rung {rung.name} has a {rank}; give {rank}_ratio to the ladder too")
        return self

    def widths_of(self, rung: RungConfig) -> dict[str, Any]:
        """Hidden widths, dense blocks and latents of a rung: its own, else the ladder's ratios of its width."""

        def wide(ratio: float | None) -> int | None:
            return None if ratio is None else max(1, round(ratio * rung.width))

        return {
            "expert_width": rung.expert_width or max(1, round(self.expert_ratio * rung.width)),
            "shared_width": rung.shared_width or round(self.shared_ratio * rung.width),
            "dense_blocks": rung.dense_blocks or self.dense_blocks,
            "dense_width": rung.dense_width or wide(self.dense_ratio),
            "kv_rank": rung.kv_rank or wide(self.kv_rank_ratio),
            "q_rank": rung.q_rank or wide(self.q_rank_ratio),
            "rope_size": self.rope_size,
            "value_size": self.value_size,
        }


class ValidationConfig(Strict):
    """How proposals are trained and the oracle sweeps the LR at targets.

    Both use the same seeds, so that a regret compares runs of the same seed.
    """

    seeds: tuple[Seed, ...] = Field((0, 1, 2), min_length=2)
    """Seeds of the runs of proposals. Two would find too little (docs/decision.md)."""
    oracle_seeds: tuple[Seed, ...] | None = Field(None, min_length=2)
    """Seeds of the oracle's sweeps, out of `seeds`. null: the first two."""
    oracles: tuple[str, ...] | None = None
    """The parametrizations and schedules that the oracle sweeps, such as `mup+power`. null: those of all entries."""
    oracle_lr_guess: float | None = Field(None, ge=1e-8, le=100)
    """LR in the middle of the sweeps' grids. null: the guess of an entry."""
    oracle_points: int = Field(3, ge=3, le=32)
    """Number of LRs with which a sweep starts."""
    oracle_factor: float = Field(2.0, ge=1.05, le=100)
    """Ratio of neighbouring LRs of a sweep."""
    max_extensions: int = Field(4, ge=0, le=32)
    """Most rounds in which LRs are added to a sweep whose best LR lies at its edge."""
    oracle_refine: bool = True
    """Whether a sweep ends with the best LR times and divided by sqrt(oracle_factor)."""
    # Left out of the dumped config where it is off, so that the digests of configs from before this key stay the same.
    oracle_lean: bool = Field(False, exclude_if=lambda given: not given)
    """Whether a sweep shares an LR with a proposal, and has all its seeds only at the three LRs nearest to the minimum,
    and its first seed at the others. docs/decision.md says what this saves and costs."""
    snap_proposals: bool = True
    """Whether proposals are moved to a lattice of 1/16 octave, so that near proposals share runs."""

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

    @model_validator(mode="after")
    def _lean(self) -> Self:
        for key in ("oracle_refine", "snap_proposals"):
            if self.oracle_lean and not getattr(self, key):
                raise ValueError(f"oracle_lean: a lean sweep needs {key}; set {key} to true, or oracle_lean to false")
        return self

    @property
    def sweep_seeds(self) -> tuple[Seed, ...]:
        """The seeds of the oracle's sweeps."""
        return self.seeds[:2] if self.oracle_seeds is None else self.oracle_seeds


class SimulatedConfig(Strict):
    """Losses from a known law in place of training, for ladders that are too large for this machine.

    A simulated study says nothing about real models.
    """

    law: TrueLaw
    """The law of the best LR. The base of the study replaces its `mup_base` and `mup_tokens`."""
    bowl: Bowl = Bowl()
    """The loss around the best LR."""
    seed: Seed = 0
    """Seed of the simulated noise."""

    def law_for(self, base: Base) -> TrueLaw:
        """The law with its muP base set to `base`, from which the best LR of all parametrizations but `sp` scales."""
        return self.law.model_copy(update={"mup_base": base.shape.n_active, "mup_tokens": base.tokens})
