"""Computes the LRs at a target from one tuned sweep and published exponents, which are assumptions."""

import math
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from lrladder.benchmark.recommend.sanity import Target
from lrladder.paradigms.laws.law import Law, LawPoint
from lrladder.paradigms.published import FLOPS_PER_PARAMETER, LAWS


class Assumed(BaseModel):
    """The LR at the target, computed from the best LR of a sweep with the exponents of one published law."""

    model_config = ConfigDict(frozen=True)

    source: str
    convention: str  # what N and D are in this law
    lr: float


def needs_exponents(law: Law) -> bool:
    """Whether the runs determine neither the exponent of N nor that of D."""
    design = law.regression.design
    return not any(known for name, known in zip(design.names, design.identified, strict=True) if name != "batch")


def by_published(points: Sequence[LawPoint], target: Target) -> tuple[Assumed, ...]:
    """One LR per published law, ascending, from the sweep whose FLOPs are nearest to those of the target."""

    def away(point: LawPoint) -> float:
        return abs(math.log(FLOPS_PER_PARAMETER * point.n_active * point.tokens / target.flops))

    anchor = min(points, key=away)
    total = anchor.n_total or anchor.n_active
    found = []
    for law in LAWS:
        moved = law.ln_lr(target.active, target.n_params, target.tokens)
        moved -= law.ln_lr(anchor.n_active, total, anchor.tokens)
        found.append(Assumed(source=law.source, convention=law.convention, lr=math.exp(anchor.ln_lr + moved)))
    return tuple(sorted(found, key=lambda one: one.lr))


def said(assumed: Sequence[Assumed]) -> tuple[str, ...]:
    """A flag that says what was assumed."""
    if not assumed:
        return ()
    spread = f"{assumed[0].lr:.3g} to {assumed[-1].lr:.3g}"
    return (f"the runs determine no exponent, so exponents are assumed; {len(assumed)} published laws give {spread}",)
