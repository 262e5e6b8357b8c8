"""Checks a target against the fitted runs: are its counts in the same unit?"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from lrladder.benchmark.errors import InputError
from lrladder.paradigms.laws.design import LawPoint
from lrladder.paradigms.published import FLOPS_PER_PARAMETER

# A target below SMALLEST times the smallest, or above LARGEST times the largest fitted count must be in another unit.
SMALLEST, LARGEST = 0.01, 1e4  # assumptions
BELOW = 1 / 3  # a target below this share of the smallest fitted count gets a flag; assumption


class Target(NamedTuple):
    """The model and run that the user plans. Counts are in the unit of the table."""

    n_params: float
    tokens: float
    n_active: float | None = None
    batch_tokens: float | None = None

    @property
    def active(self) -> float:
        """Active parameters; for a dense model, all of them."""
        return self.n_active or self.n_params

    @property
    def flops(self) -> float:
        """6 N_active D."""
        return FLOPS_PER_PARAMETER * self.active * self.tokens


def check_target(target: Target, points: Sequence[LawPoint]) -> tuple[str, ...]:
    """Flags for odd counts of a target, beside fitted runs if there are any.

    Raises InputError for counts that must be a mistake.
    """
    if target.active > target.n_params:
        raise InputError(
            f"--n-active {target.active:g} is more than --n-params {target.n_params:g}, which counts all parameters; "
            "correct one of them"
        )
    if target.batch_tokens is not None and target.batch_tokens > target.tokens:
        raise InputError(
            f"--batch-tokens {target.batch_tokens:g} is more than --tokens {target.tokens:g}: one step would be more "
            "than the whole run; give the tokens of one step"
        )
    if target.n_active is None and any(point.n_total not in (None, point.n_active) for point in points):
        raise InputError(
            "--n-active is missing: the fitted runs give n_active, and the law depends on it; for a dense model give "
            "the same number as for --n-params"
        )
    if not points:
        return ()
    totals = [point.n_total or point.n_active for point in points]
    flags = [*_far("--n-params", target.n_params, totals), *_far("--tokens", target.tokens, [p.tokens for p in points])]
    if target.batch_tokens is not None:
        batches = [point.batch_tokens for point in points if point.batch_tokens is not None]
        flags += _far("--batch-tokens", target.batch_tokens, batches) if batches else []
    if target.n_active is not None and all(point.n_total in (None, point.n_active) for point in points):
        flags += ["no fitted run was sparse, so the law does not contain the effect of sparsity"] * (
            target.active < target.n_params
        )
    return tuple(flags)


def _far(option: str, value: float, searched: Sequence[float]) -> Iterator[str]:
    low, high = min(searched), max(searched)
    seen = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
    if not SMALLEST * low <= value <= LARGEST * high:
        raise InputError(f"{option} {value:g}: the fitted runs have {seen}; use the same unit as their table")
    if value < BELOW * low:
        yield f"{option} {value:g} is below all fitted runs ({seen}); check that it is in their unit"
