"""The LR to use if a search found no minimum: the middle one of the published laws, with their known error."""

import math
from statistics import median

from lrladder.paradigms.lab import Rung
from lrladder.paradigms.published import LAWS
from lrladder.paradigms.strategies.search import Choice

# Octaves to either side. At 50 cells of three public tables single laws, used as they stand, missed by up to 4.2
# octaves, and their middle by up to 2.7 (docs/fitting.md); assumption: in other recipes they miss by no more than 4.
MISS = 4.0


def from_published(target: Rung, *, why: str) -> Choice:
    """The LR of the middle one of the published laws that can be evaluated; `why` says why the search has none."""
    laws = [law for law in LAWS if not law.needs]
    lr = math.exp(median(law.ln_lr(target.n_active, target.n_total, max(target.horizons)) for law in laws))
    said = f"no minimum was found, so the LR is the middle one of {len(laws)} published laws, +-{MISS:g} octaves"
    return Choice(lr, lr * 2**-MISS, lr * 2**MISS, (f"{said}: {why}", "N and D are assumed to be plain counts"))
