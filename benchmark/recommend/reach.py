"""How far beyond the runs of a study a recommendation may extrapolate without --force."""

from lrladder.benchmark.errors import InputError

# Of FLOPs, from the largest run searched. No public table of sweeps on which the intervals were checked spans more from
# its smallest cell to its largest: OpenEuroLLM, 317x (docs/fitting.md).
CHECKED = 300.0


def require_reach(extrapolation: float, *, forced: bool) -> tuple[str, ...]:
    """A flag if `extrapolation` is beyond CHECKED. Raises InputError there unless it is forced."""
    if extrapolation <= CHECKED:
        return ()
    told = f"{extrapolation:,.0f} times the FLOPs of the largest run searched, and no interval was checked beyond"
    if not forced:
        raise InputError(f"the model is too far: {told} {CHECKED:g}; search larger models first, or say --force")
    return (f"forced: {told} {CHECKED:g}",)
