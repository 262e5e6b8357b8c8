"""The schedule of a job from its columns alone, as a trainer of the user's own would write it."""

import math
from collections.abc import Mapping
from typing import Any


def factor_of(row: Mapping[str, Any], step: int) -> float:
    """What every peak LR is multiplied by at a step, counted from 0."""
    batch, warm, start, tokens = (
        row["batch_tokens"],
        row["warmup_tokens"],
        row["decay_start"],
        step * row["batch_tokens"],
    )
    if tokens + batch <= warm:
        return (tokens + batch) / warm * _stable(row, warm)
    if start is None:
        return 1.0
    stable = _stable(row, min(max(tokens, warm), start))
    if tokens < start:
        return stable
    edge = 0 if row["schedule"] == "power" else batch
    left = (row["tokens"] - tokens) / (row["decay_tokens"] + edge)
    return stable * _decay(row["decay"], left, row["decay_to"])


def _stable(row: Mapping[str, Any], tokens: int) -> float:
    if row["schedule"] != "power":
        return 1.0
    law = row["batch_tokens"] / row["power_batch_tokens"] * (tokens / row["power_tokens"]) ** row["power_exponent"]
    return float(min(row["power_cap"], law))


def _decay(shape: str, left: float, to: float) -> float:
    ways = {
        "linear": lambda: to + (1 - to) * left,
        "sqrt": lambda: 1 - (1 - to) * math.sqrt(1 - left),
        "cosine": lambda: to + (1 - to) * (1 - math.cos(math.pi * left)) / 2,
        "exponential": lambda: to ** (1 - left),
    }
    return float(ways[shape]())
