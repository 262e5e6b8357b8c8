"""What a machine has on which trials may train: its GPUs, and the software that decides the numbers of a run."""

import hashlib
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from lrladder.benchmark.environment import gpu_bytes, gpu_names
from lrladder.models.no_megablocks import no_megablocks

PACKAGE = Path(__file__).parents[2]  # lrladder, which has our code


class Seen(NamedTuple):
    """One machine."""

    node: str
    software: str
    gpus: tuple[str, ...]
    gpu_bytes: int | None
    no_megablocks: str | None


def look(node: str) -> Seen:
    """What the machine has on which this is called, whose address is `node`."""
    gpus = tuple(gpu_names())
    why = no_megablocks(has_gpu=True) if gpus else None
    return Seen(node, software(), gpus, gpu_bytes(), why)


def software() -> str:
    """Versions that decide the numbers of a run, and a hash of our own code."""
    folders = ("benchmark", "models", "paradigms")
    code = hashlib.sha256()
    for path in sorted(path for name in folders for path in (PACKAGE / name).rglob("*.py")):
        code.update(path.read_bytes())
    versions = (f"{name} {metadata.version(name)}" for name in ("torch", "deepspeed"))
    return ", ".join((*versions, f"lrladder {code.hexdigest()[:12]}"))
