"""Libraries that are optional: each with the extra that installs it."""

import importlib
import sys
from typing import Any

from lrladder.benchmark.errors import InputError


def library(name: str, extra: str, wanted: str) -> Any:
    """The module. Raises InputError that names the extra, where it is not installed. `wanted`: what for."""
    if name == "transformers":
        sys.modules.setdefault("torchvision", None)  # type: ignore[arg-type]  # mup's: a CUDA build that breaks
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = f"needs the library {name.partition('.')[0]}, which is not installed"
        raise InputError(f"{wanted}: {missing}: pip install -c constraints.txt -e '.[{extra}]'") from error
