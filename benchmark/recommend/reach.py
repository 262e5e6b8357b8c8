"""How far beyond the runs of a study a recommendation may extrapolate without --force."""

from lrladder.benchmark.errors import InputError
from lrladder.paradigms.extrapolation import CHECKED, unchecked

__all__ = ["CHECKED", "require_reach"]


def require_reach(extrapolation: float, *, forced: bool) -> tuple[str, ...]:
    """A flag if `extrapolation` is beyond CHECKED. Raises InputError there unless it is forced."""
    told = unchecked(extrapolation)
    if told is None:
        return ()
    if not forced:
        raise InputError(f"the model is too far: {told} {CHECKED:g}; search larger models first, or give --force")
    return (f"forced: {told} {CHECKED:g}",)
