"""How far beyond its runs a recommendation may reach before it is to be asked for twice."""

from lrladder.benchmark.errors import InputError
from lrladder.paradigms.extrapolation import CHECKED, unchecked

__all__ = ["CHECKED", "require_reach"]


def require_reach(extrapolation: float, *, forced: bool) -> tuple[str, ...]:
    """A flag beyond CHECKED. Raises InputError there unless it is forced."""
    told = unchecked(extrapolation)
    if told is None:
        return ()
    if not forced:
        raise InputError(f"the model is too far: {told} {CHECKED:g}; search larger models first, or say --force")
    return (f"forced: {told} {CHECKED:g}",)
