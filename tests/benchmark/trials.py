"""Tiny trials on an in-memory corpus, for tests that train."""

from pathlib import Path
from typing import Any

import numpy as np

from lrladder.benchmark.config.parts import OptimizerConfig
from lrladder.benchmark.config.training import TrainingSettings
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.ladder import Base
from lrladder.benchmark.schedules import ScheduleConfig
from lrladder.benchmark.training.corpus import Corpus
from lrladder.benchmark.training.entry import Verified
from lrladder.models.architecture import Architecture
from lrladder.models.rules import MUTRANSFER, Rules
from lrladder.models.shape import ModelShape
from tests.models.shapes import moe_shape, tied_shape

BATCH = 64
WIDTH_RULES = MUTRANSFER.model_copy(update={"horizon": "none", "decay_horizon": "none"})  # horizons share a trunk


def tiny_trial(**changes: object) -> Trial:
    fields: dict[str, object] = {
        "shape": moe_shape(),
        "base": Base(shape=moe_shape(), batch_tokens=BATCH, tokens=20 * BATCH),
        "rules": WIDTH_RULES,
        "horizon_exponent": None,
        "role_lrs": (),
        "lr": 0.01,
        "seed": 0,
        "horizons": (10 * BATCH, 20 * BATCH),
        "rule_tokens": None,
        "batch_tokens": BATCH,
        "optimizer": OptimizerConfig(),
        "schedule": ScheduleConfig(warmup_tokens=2 * BATCH),
        "expert_backend": "grouped",
        "precision": "fp32",
        "corpus_digest": "test",
        "val_documents": 4,
    }
    fields |= changes
    if isinstance(rules := fields["rules"], Rules) and rules.by_tokens:
        fields |= {"rule_tokens": fields["horizons"][0]}  # type: ignore[index]
    return Trial.model_validate(fields)


def wide_shape() -> ModelShape:
    return moe_shape(width=64, expert_width=64)


def biased_shape() -> ModelShape:
    """Experts that a bias balances."""
    sizes = moe_shape(num_experts=8).model_dump()
    asked = Architecture(score="sigmoid", expert_bias=True, num_groups=2, top_groups=1)
    return ModelShape(**sizes, architecture=asked)


def tiny_corpus(path: Path, shape: ModelShape | None = None, *, tokens: int = 6000) -> Corpus:
    """Tokens of a first-order Markov chain: learnable, made from a fixed seed."""
    shape = shape or moe_shape()
    rng = np.random.default_rng(0)
    steps = rng.integers(1, 4, tokens)
    chain = (np.cumsum(steps) % shape.vocab_size).astype(np.uint16)
    windows = chain[: 4 * (shape.seq_len + 1)].reshape(4, shape.seq_len + 1).astype(np.int64)
    verified = Verified(path, "test", ())
    return Corpus(path, "test", manifest={}, train=chain, val=chain, val_windows=windows, verified=verified)


CHANGES: dict[str, dict[str, Any]] = {
    "wsd": {},
    "zero1": {"training": TrainingSettings(zero_stage=1)},
    "bf16": {"precision": "bf16"},
    "tied": {"shape": tied_shape()},
    "expert bias": {"shape": biased_shape(), "optimizer": OptimizerConfig(bias_rate=0.05)},
    "ema": {"schedule": ScheduleConfig(warmup_tokens=128, read="ema"), "horizons": (10 * BATCH, 24 * BATCH)},
    "ema zero2": {
        "schedule": ScheduleConfig(warmup_tokens=128, read="ema"),
        "horizons": (10 * BATCH, 24 * BATCH),
        "training": TrainingSettings(zero_stage=2),
    },
    "cosine": {"schedule": ScheduleConfig(warmup_tokens=128, kind="cosine"), "horizons": (24 * BATCH,)},
}


def no_log(row: dict[str, object]) -> None:
    del row


def outcome(measurement: TrialMeasurement) -> dict[str, object]:
    """What must not depend on how often a run was interrupted."""
    return measurement.model_dump(exclude={"seconds", "setup_seconds", "trained_tokens"})
