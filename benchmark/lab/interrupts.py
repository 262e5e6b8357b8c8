"""Ctrl-C while pydantic writes JSON."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic_core import PydanticSerializationError


@contextmanager
def interrupts_kept() -> Iterator[None]:
    """A context in which Ctrl-C stays KeyboardInterrupt.

    If it comes while pydantic calls a function of ours, such as a serializer or `exclude_if`, pydantic turns it into an
    error of its own. The study would end with a traceback, and not as interrupted.
    """
    try:
        yield
    except PydanticSerializationError as error:
        if "KeyboardInterrupt" in str(error):
            raise KeyboardInterrupt from None
        raise
