"""The transformers library, which is optional: the extra `hf`."""

import sys
from typing import Any

from lrladder.benchmark.errors import InputError


def library(purpose: str) -> Any:
    """The module transformers. Without it raises InputError, which says that `purpose` needs it."""
    sys.modules.setdefault("torchvision", None)  # type: ignore[arg-type]  # mup's: a CUDA build that breaks on import
    try:
        import transformers
    except ImportError as error:
        raise InputError(
            f"{purpose} the transformers library, which is not installed: pip install -c constraints.txt -e '.[hf]'"
        ) from error
    return transformers
