"""A lab of a known bowl: loss is quadratic in the octaves of each ingredient, with interactions, seeds and noise."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lrladder.benchmark.ladder import Base
from lrladder.benchmark.schedules import ScheduleConfig
from lrladder.benchmark.studies.recipe.config import TuningConfig
from lrladder.benchmark.studies.recipe.ingredients import LR, changes_of
from lrladder.models.shape import ModelShape
from lrladder.paradigms.lab import Measurement, Request, Verdict

SHAPE = ModelShape(vocab_size=512, width=16, depth=2, head_size=8, num_experts=4, top_k=2, expert_width=16, seq_len=64)


def tuning(**changes: object) -> TuningConfig:
    fields: dict[str, object] = {
        "name": "bowl",
        "corpus": {"vocab_size": 512},
        "schedule": ScheduleConfig(warmup_tokens=4096),
        "start": Base(shape=SHAPE, batch_tokens=1024, tokens=32768),
        "lr_guess": 0.016,
    }
    return TuningConfig.model_validate(fields | changes)


def octaves(name: str, value: float, old: float) -> float:
    return math.log2((1 - value) / (1 - old)) if name == "beta2" else math.log2(value / old)


@dataclass
class BowlLab:
    """`best`, octaves from the old value, and `curvature`, nats per octave squared, by ingredient; 0 is flat."""

    config: TuningConfig
    best: Mapping[str, float]
    curvature: Mapping[str, float]
    together: float = 0.0  # times (std - its best) (embedding - its best)
    noise: float = 0.006
    salt: int = 0
    diverges: Mapping[str, float] = field(default_factory=dict)  # octaves from the old value
    fails: int | None = None  # the seed whose runs fail
    asked: list[Request] = field(default_factory=list)

    def measure(self, requests: Sequence[Request], *, payer: str) -> list[list[Measurement]]:
        self.asked += requests
        return [[self._run(request)] for request in requests]

    def cost_flops(self, payer: str) -> float:
        return 0.0

    def flops(self, request: Request) -> float:
        return 0.0

    def setting(self, request: Request) -> dict[str, float]:
        old = {name: one.old for name, one in self.config.ingredients.items()}
        values = old | changes_of(request.parametrization) | {LR: request.lr}
        return {name: octaves(name, value, old[name]) for name, value in values.items()}

    def loss(self, setting: Mapping[str, float]) -> float:
        off = {name: setting[name] - self.best.get(name, 0.0) for name in setting}
        rise = sum(self.curvature.get(name, 0.0) * x**2 for name, x in off.items())
        return 4.0 + rise + self.together * off["embedding_std"] * off["embedding_lr"]

    def _run(self, request: Request) -> Measurement:
        setting = self.setting(request)
        key = f"{self.salt} {request.parametrization} {request.lr} {request.seed}"
        noise = np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8])).standard_normal()
        verdict: Verdict = "finished"
        if any(setting[name] > limit for name, limit in self.diverges.items()):
            verdict = "diverged"
        if request.seed == self.fails:
            verdict = "failed"
        loss = self.loss(setting) + self.noise * noise + 0.02 * request.seed  # a seed's level is common to all settings
        return Measurement(
            trial_id=key,
            rung=request.rung,
            parametrization=request.parametrization,
            lr=request.lr,
            seed=request.seed,
            horizon=request.horizons[0],
            verdict=verdict,
            loss=loss if verdict == "finished" else None,
        )
