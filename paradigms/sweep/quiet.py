"""Whether the noise of the losses is so small that more runs hardly move the best LRs."""

from collections.abc import Collection
from statistics import median

from lrladder.paradigms.laws.design import OPTIMUM_SD
from lrladder.paradigms.sweep.curve import Curve
from lrladder.paradigms.sweep.noise import typical_noise

# Sd of ln lr* of a minimum due to the noise that more runs need not lower, because a parabola misses by as much anyway.
QUIET_SD = OPTIMUM_SD


def is_quiet(curves: Collection[Curve]) -> bool | None:
    """Whether the noise moves the fitted minima by QUIET_SD at most, in the median. None if it cannot be estimated."""
    if typical_noise(curves).shared is None:
        return None
    sds = [curve.sd_ln_lr for curve in curves if curve.status == "interior" and curve.sd_ln_lr is not None]
    return bool(sds) and median(sds) <= QUIET_SD
