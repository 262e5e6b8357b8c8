"""How far beyond the runs of a study a recommendation may extrapolate without --force."""

from collections.abc import Iterable

from lrladder.benchmark.errors import InputError
from lrladder.paradigms.extrapolation import CHECKED, unchecked

__all__ = ["CHECKED", "require_reach"]


def require_reach(extrapolation: float, *, forced: bool, nearer: Iterable[str] = ()) -> tuple[str, ...]:
    """A flag if `extrapolation` is beyond CHECKED. Raises InputError there unless it is forced.

    `nearer` are entries that are no worse and searched models that are large enough. They are asked for only then.
    """
    told = unchecked(extrapolation)
    if told is None:
        return ()
    if not forced:
        name = "".join(f", name --entry {entry}" for entry in list(nearer)[:1])
        raise InputError(f"the model is too far: {told} {CHECKED:g}; search larger models first{name}, or give --force")
    return (f"forced: {told} {CHECKED:g}",)
