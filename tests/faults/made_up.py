"""Stands in for training: losses of a known law with noise, and as many metrics and log rows as a real run has."""

import math
from collections.abc import Callable, Iterator

import numpy as np

from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.simulated import loss_floor
from lrladder.benchmark.lab.trial import Trial
from lrladder.models.roles import Role

Log = Callable[[dict[str, object]], None]
PLAIN = (  # as `benchmark/training/watch.py` and `observation.py` name them
    *("initial_loss", "train_loss", "log_z", "attention_logit_max", "dead_experts", "max_load"),
    *("max_violation", "max_violation_train", "router_entropy_token", "router_entropy_batch", "router_z"),
    *(f"{of}_{what}" for of in ("loss", "grad") for what in ("spikes", "spike_area", "spike_steps", "spike_judged")),
)
OF_ROLE = (
    *("weight_rms", "weight_rms_steady", "update_ratio", "update_ratio_steady"),
    *("output_change", "alignment_ratio"),
)
ROLES = (Role.ATTENTION, Role.ROUTER, Role.EXPERT_UP, Role.EXPERT_DOWN, Role.HEAD)
BEST_LR, CURVATURE, NOISE = 0.02, 0.08, 0.01  # of no real model
DIVERGES = 30  # times the best LR
STEPS = 16  # rows of a log


def start() -> Callable[[Trial, Log], list[TrialMeasurement]]:
    """The runner of a worker."""
    return run


def run(trial: Trial, log: Log) -> list[TrialMeasurement]:
    """Log some steps, and measure."""
    rng = np.random.default_rng(int(trial.id, 16))
    for step in range(STEPS):
        tokens = trial.tokens * step // STEPS
        log(
            {"step": step, "tokens": tokens, "lr": trial.lr, "loss": 3 + 4 / (1 + step) + NOISE * rng.standard_normal()}
        )
    return [_measured(trial, horizon, rng) for horizon in trial.horizons]


def _measured(trial: Trial, horizon: int, rng: np.random.Generator) -> TrialMeasurement:
    away = math.log(trial.lr / BEST_LR)
    diverged = away > math.log(DIVERGES)
    loss = loss_floor(trial.shape.n_active, horizon) + CURVATURE * away**2 + NOISE * rng.standard_normal()
    return TrialMeasurement.of(
        trial,
        horizon,
        verdict="diverged" if diverged else "finished",
        loss=None if diverged else loss,
        loss_se=None if diverged else 0.01,
        seconds=1 + rng.random(),
        setup_seconds=rng.random(),
        trained_tokens=trial.tokens,
        expert_gemm="torch",
        metrics={name: 1 + rng.random() for name in _names(trial)},
        message="the LR is far above the best one" if diverged else "",
    )


def _names(trial: Trial) -> Iterator[str]:
    yield from PLAIN
    for role in ROLES:
        yield from (f"{kind}/{role}" for kind in OF_ROLE)
    yield from (f"feature_change/{block}" for block in range(trial.shape.depth + 1))
