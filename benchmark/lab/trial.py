"""A trial: one training run, fully specified. Its id is a hash of everything that can change its numbers."""

import hashlib
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict

from benchmark.config import OptimizerConfig, ScheduleConfig, StudyConfig
from models.shape import ModelShape
from paradigms.base import ParametrizationName, Request

SPEC_VERSION = 1  # raised when the meaning of a specification changes, so that old results are not reused


class Trial(BaseModel):
    """One resolved training run. `base` is the shape whose init and LRs muP carries over; sp ignores widths."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec_version: int = SPEC_VERSION
    shape: ModelShape
    base: ModelShape
    parametrization: ParametrizationName
    lr: float
    seed: int
    horizons: tuple[int, ...]
    batch_tokens: int
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    expert_backend: str
    precision: Literal["fp32", "bf16"]
    corpus_digest: str
    val_documents: int

    @cached_property
    def id(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    @property
    def tokens(self) -> int:
        """Tokens trained on in all: the trunk to the last branch point, and each horizon's decay."""
        trunk = max(branch_point(horizon, self) for horizon in self.horizons)
        return trunk + sum(horizon - branch_point(horizon, self) for horizon in self.horizons)

    @property
    def flops(self) -> float:
        return float(self.shape.flops_per_token * self.tokens)


def branch_point(horizon: int, trial: Trial) -> int:
    """Tokens after which the decay to `horizon` begins, at a whole step."""
    batch = trial.batch_tokens
    return int(horizon * (1 - trial.schedule.decay_fraction)) // batch * batch


def resolve(request: Request, config: StudyConfig, *, corpus_digest: str, precision: Literal["fp32", "bf16"]) -> Trial:
    """The trial that a paradigm's request means in this study."""
    rung = config.rungs.rung(request.rung)
    return Trial(
        shape=rung.shape,
        base=config.rungs.rung(config.paradigms.mutransfer_proxy).shape,
        parametrization=request.parametrization,
        lr=request.lr,
        seed=request.seed,
        horizons=tuple(sorted(request.horizons)),
        batch_tokens=rung.batch_tokens,
        optimizer=config.optimizer,
        schedule=config.schedule,
        expert_backend=config.expert_backend,
        precision=precision,
        corpus_digest=corpus_digest,
        val_documents=config.corpus.val_documents,
    )
