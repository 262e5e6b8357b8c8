"""Finds whether the losses of a table were rounded, as to bf16 or to two decimals, which can make losses equal."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BF16_BITS = 7  # bits of the fraction of a bfloat16: steps of 1/64 for losses from 2 to 4, and of 1/128 from 1 to 2
DECIMALS = (1, 2)  # numbers of decimals that are looked for; with more, the step is below the noise of a loss
MIN_LOSSES = 6  # assumption: fewer losses may all lie on such steps by chance
CLOSE = 1e-3  # distance from a step that counts as on it, in steps; exports print about six digits


def loss_step(losses: Array) -> tuple[float, str]:
    """The rounding step of all `losses`, in nats, and what rounded them. 0 and "" if no step matters."""
    found = losses[np.isfinite(losses)]
    if len(found) < MIN_LOSSES:
        return 0.0, ""
    for decimals in DECIMALS:
        if _on_steps(found, np.full(len(found), 10.0**-decimals)):
            return 10.0**-decimals, f"{decimals} decimal{'s' * (decimals > 1)}"
    steps = 2.0 ** (np.floor(np.log2(found)) - BF16_BITS)
    return (float(np.median(steps)), "bf16") if _on_steps(found, steps) else (0.0, "")


def _on_steps(losses: Array, steps: Array) -> bool:
    with np.errstate(over="ignore"):  # of losses that are next to 0, or absurdly large
        off, close = losses / steps, CLOSE + 5e-5 / steps
    return bool(np.isfinite(off).all() and np.all(np.abs(off - np.round(off)) < close))
