"""Puts messages that name options of the command line into the words of Python."""

import functools
import re
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.reading import printable

Given = ParamSpec("Given")
Found = TypeVar("Found")

SWITCHES = {"force", "replace", "ignore-unknown", "allow-import"}  # options without a value
ARGUMENTS = {"memory": "memory_gib"}  # that are called otherwise than their options
_CODE = re.compile(r"(`[^`]*`)")  # a command of the shell, which stays as it is
_OPTION = re.compile(r"--(no-)?([a-z]+(?:-[a-z]+)*)")


def spoken(call: Callable[Given, Found]) -> Callable[Given, Found]:
    """The function, whose InputErrors are one line and name arguments of Python instead of options."""

    @functools.wraps(call)
    def said(*given: Given.args, **named: Given.kwargs) -> Found:
        try:
            return call(*given, **named)
        except InputError as error:
            raise InputError(in_python(str(error))) from error

    return said


def in_python(message: str) -> str:
    """The message in one line: `--batch-tokens` becomes batch_tokens, and a switch such as `--force` force=True."""
    parts = _CODE.split(" ".join(printable(message).split()))
    return "".join(part if part.startswith("`") else _OPTION.sub(_argument, part) for part in parts)


def _argument(option: re.Match[str]) -> str:
    negated, name = option.groups()
    value = "=False" if negated else "=True" if name in SWITCHES else ""
    return ARGUMENTS.get(name, name.replace("-", "_")) + value
