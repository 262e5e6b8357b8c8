"""The study as the user writes it: frozen, strict, from YAML. Every constant here is a default, with its source."""

from functools import cached_property
from typing import Literal, Self

from pydantic import (
    Field,
    PositiveInt,
    field_validator,
    model_validator,
)

from lrladder.benchmark.config.parts import (
    PowerConfig,
    RoleSearchConfig,
    SearchConfig,
    Seed,
    Strict,
)
from lrladder.benchmark.config.text import parse_yaml, read_preset, validate
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.simulated import Bowl, TrueLaw
from lrladder.benchmark.ladder import Base, Ladder, Rung
from lrladder.benchmark.schedules import ScheduleConfig
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.models.rules import MUTRANSFER, STANDARD, Rules
from lrladder.models.shape import ModelShape
from lrladder.paradigms.lab import ParametrizationName
from lrladder.paradigms.mutransfer.drift import DRIFT_OCTAVES
from lrladder.paradigms.sweep.grid import on_lattice


class RungConfig(Strict):
    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    part: Literal["proxy", "target"]
    width: PositiveInt
    depth: PositiveInt
    horizons: tuple[PositiveInt, ...] = Field(min_length=1)
    continued: tuple[PositiveInt, ...] = ()  # longer ones, to which a target's runs are continued at their own LR
    batch_tokens: PositiveInt | None = None


class LadderConfig(Strict):
    """Sizes shared by all rungs. Ratios stay fixed so that each rung is the same model, larger."""

    head_size: PositiveInt = 16
    num_experts: PositiveInt = 8
    top_k: PositiveInt = 2
    expert_ratio: float = Field(1.0, gt=0, le=64)  # expert_width / width
    shared_ratio: float = Field(0.0, ge=0, le=64)  # shared expert width / width; 0 is no shared expert
    seq_len: PositiveInt = 128
    batch_tokens: PositiveInt = 2048
    rungs: tuple[RungConfig, ...] = Field(min_length=1, max_length=256)


class ValidationConfig(Strict):
    """How proposals and the oracle are scored at targets. The same seeds serve both, so regret is paired."""

    seeds: tuple[Seed, ...] = Field((0, 1), min_length=2)
    oracle_seeds: tuple[Seed, ...] | None = Field(None, min_length=2)  # of the sweeps, some of `seeds`; None: all
    oracle_points: int = Field(4, ge=3, le=32)
    oracle_factor: float = Field(2.0, ge=1.05, le=100)
    max_extensions: int = Field(4, ge=0, le=32)
    oracle_refine: bool = False  # a last step of the root of the factor to either side of each bracketed best
    snap_proposals: bool = (
        False  # to a lattice of 1/16 octave that holds the sweeps' grids, so that near ones share runs
    )

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
        return self.seeds if self.oracle_seeds is None else self.oracle_seeds


class MuTransferConfig(SearchConfig):
    """The search on the proxy, and the rules that carry its LR over."""

    rules: Rules = MUTRANSFER
    drift_octaves: float = Field(DRIFT_OCTAVES, ge=0, le=10)  # of the best LR per doubling of width, batch, tokens; 90%

    @field_validator("rules", mode="before")
    @classmethod
    def _on_unless_given(cls, given: object) -> object:
        """A rule that is left out is as without the key: else naming one would turn the others off."""
        return MUTRANSFER.model_dump() | given if isinstance(given, dict) else given


class ParadigmsConfig(Strict):
    fitting: SearchConfig
    mutransfer: MuTransferConfig
    mutransfer_proxy: str
    power: PowerConfig | None = PowerConfig()  # None: mutransfer+power does not compete
    modules: RoleSearchConfig | None = None  # None: mutransfer+modules does not compete


class SimulatedConfig(Strict):
    """Losses from a known law, with no training: for ladders past this machine. Nothing is said of real models."""

    law: TrueLaw  # `mup_base` and `mup_tokens` are those of muTransfer's proxy
    bowl: Bowl = Bowl()
    seed: Seed = 0

    def law_for(self, base: Base) -> TrueLaw:
        """The law, with muTransfer's proxy as what its parametrization counts from."""
        return self.law.model_copy(update={"mup_base": base.shape.n_active, "mup_tokens": base.tokens})


class RegretConfig(StudyConfig):
    """One regret study: its ladder, the paradigms that search on its proxies, and how its targets are scored."""

    ladder: LadderConfig
    paradigms: ParadigmsConfig
    validation: ValidationConfig = ValidationConfig()
    simulated: SimulatedConfig | None = None  # instead of training

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [rung.name for rung in self.ladder.rungs]
        if len(set(names)) < len(names):
            raise ValueError("ladder.rungs: two rungs have the same name")
        for rung in self.rungs:
            self._check_rung(rung)
        self._check_distinct()
        proxies, targets = self.rungs.proxies, self.rungs.targets
        if not proxies or not targets:
            raise ValueError("ladder.rungs: at least one proxy and one target are needed")
        largest = max(proxies, key=lambda rung: rung.n_active)
        for rung in targets:
            if rung.n_active <= largest.n_active:
                raise ValueError(
                    f"target {rung.name} (n_active {rung.n_active:,}) is not larger than "
                    f"proxy {largest.name} ({largest.n_active:,})"
                )
        if self.paradigms.mutransfer_proxy not in {rung.name for rung in proxies}:
            raise ValueError(f"paradigms.mutransfer_proxy: {self.paradigms.mutransfer_proxy!r} is not a proxy rung")
        return self

    def _check_rung(self, rung: Rung) -> None:
        where = f"rung {rung.name}"
        if rung.batch_tokens % rung.shape.seq_len:
            raise ValueError(f"{where}: batch_tokens {rung.batch_tokens} is not a multiple of seq_len")
        for horizon in rung.read:
            if self.schedule.decay_start(horizon, rung.batch_tokens) <= self.schedule.warmup_tokens:
                raise ValueError(
                    f"{where}: horizon {horizon} ends its stable phase before "
                    f"schedule.warmup_tokens {self.schedule.warmup_tokens} is over"
                )
            if horizon % rung.batch_tokens:
                raise ValueError(f"{where}: horizon {horizon} is not a multiple of batch_tokens {rung.batch_tokens}")
            self.schedule.require_decay(horizon, rung.batch_tokens, where=where)
        if rung.continued and (rung.part == "proxy" or min(rung.continued) <= max(rung.horizons)):
            raise ValueError(f"{where}: continued is for targets, and beyond their horizons")
        if rung.continued and not self.schedule.has_trunk:
            raise ValueError(f"{where}: a {self.schedule.kind} schedule ends at its horizon and cannot be continued")

    def _check_distinct(self) -> None:
        """A value given twice would count one run as two."""
        roles = self.paradigms.modules
        lists: dict[str, tuple[object, ...]] = {
            "paradigms.fitting.seeds": self.paradigms.fitting.seeds,
            "paradigms.mutransfer.seeds": self.paradigms.mutransfer.seeds,
            "validation.seeds": self.validation.seeds,
            "validation.oracle_seeds": self.validation.sweep_seeds,
            **({"paradigms.modules.roles": roles.roles} if roles else {}),
            **{f"rung {rung.name}: horizons": rung.read for rung in self.rungs},
        }
        for key, values in lists.items():
            if len(set(values)) < len(values):
                raise ValueError(f"{key}: a value is there twice; give each once")
        if extra := sorted(set(self.validation.sweep_seeds) - set(self.validation.seeds)):
            raise ValueError(
                f"validation.oracle_seeds: {extra[0]} is not in validation.seeds; regret is paired by seed"
            )

    @property
    def base(self) -> Base:
        """muTransfer's proxy at its longest horizon."""
        proxy = self.rungs.rung(self.paradigms.mutransfer_proxy)
        return Base(shape=proxy.shape, batch_tokens=proxy.batch_tokens, tokens=max(proxy.horizons))

    def rules_of(self, parametrization: ParametrizationName) -> Rules:
        rules = self.paradigms.mutransfer.rules
        # the Power schedule itself answers for tokens and batch
        by_power = rules.model_copy(update={"horizon": "none", "betas": False, "decay_horizon": "none"})
        return {"sp": STANDARD, "mup": rules, "mup+power": by_power}[parametrization]

    def schedule_of(self, parametrization: ParametrizationName) -> ScheduleConfig:
        power = self.paradigms.power
        if parametrization != "mup+power" or power is None:
            return self.schedule
        return self.schedule.model_copy(update={"kind": "power", **power.model_dump()})

    @cached_property
    def rungs(self) -> Ladder:
        return Ladder(self._rung(rung) for rung in self.ladder.rungs)

    def _rung(self, rung: RungConfig) -> Rung:
        ladder = self.ladder
        shape = ModelShape(
            vocab_size=self.corpus.vocab_size,
            width=rung.width,
            depth=rung.depth,
            head_size=ladder.head_size,
            num_experts=ladder.num_experts,
            top_k=ladder.top_k,
            expert_width=max(1, round(ladder.expert_ratio * rung.width)),
            shared_width=round(ladder.shared_ratio * rung.width),
            seq_len=ladder.seq_len,
        )
        batch = rung.batch_tokens or ladder.batch_tokens
        horizons, continued = tuple(sorted(rung.horizons)), tuple(sorted(rung.continued))
        return Rung(rung.name, rung.part, shape, batch, horizons, continued=continued)


def load_config(preset: str) -> RegretConfig:
    """A preset by name, or a YAML file by path. Raises InputError with one line that names the key."""
    return parse_config(read_preset(preset), source=preset)


def parse_config(text: str, *, source: str) -> RegretConfig:
    data = parse_yaml(text, source=source)
    if (kind := data.pop("kind", "benchmark")) != "benchmark":
        raise InputError(f"{source}: kind: {kind!r} is no benchmark; known: benchmark, and axes for plan and run")
    return validate(RegretConfig, data, source=source)
