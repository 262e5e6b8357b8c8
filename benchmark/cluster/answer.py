"""How a task asks an actor."""

from typing import Any


def answer(asked: Any) -> Any:
    """The result of a call to an actor. While `ray.get` waits, Ray would give this task's core to another task."""
    return asked.future().result()
