"""LR Ladder in Python: `import lrladder as ll`. docs/python.md shows every name.

A name is imported when it is first used, so that `import lrladder` itself takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lrladder.benchmark.api.export import export
    from lrladder.benchmark.api.external import ask, tell
    from lrladder.benchmark.api.fit import Fit, fit
    from lrladder.benchmark.api.law import Law
    from lrladder.benchmark.api.model import Goal, Model
    from lrladder.benchmark.api.plan import Plan
    from lrladder.benchmark.api.recommendation import Recommendation
    from lrladder.benchmark.api.run import Run, load, run
    from lrladder.benchmark.api.study import Study, design
    from lrladder.benchmark.errors import InputError

__all__ = [
    "Fit",
    "Goal",
    "InputError",
    "Law",
    "Model",
    "Plan",
    "Recommendation",
    "Run",
    "Study",
    "ask",
    "design",
    "export",
    "fit",
    "load",
    "run",
    "tell",
]

_ROOMS = {
    "api.export": ("export",),
    "api.external": ("ask", "tell"),
    "api.fit": ("Fit", "fit"),
    "api.law": ("Law",),
    "api.model": ("Goal", "Model"),
    "api.plan": ("Plan",),
    "api.recommendation": ("Recommendation",),
    "api.run": ("Run", "load", "run"),
    "api.study": ("Study", "design"),
    "errors": ("InputError",),
}


if not TYPE_CHECKING:  # a type checker knows the names above, and should refuse others

    def __getattr__(name: str) -> Any:
        for room, names in _ROOMS.items():
            if name in names:
                found = getattr(import_module(f"lrladder.benchmark.{room}"), name)
                globals()[name] = found
                return found
        raise AttributeError(f"module 'lrladder' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
