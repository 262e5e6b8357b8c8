"""Looks at every machine of a cluster: its GPUs, whether it has our code, and whether it sees the checkpoints."""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import ray
from ray.exceptions import NodeDiedError, RayError, TaskUnschedulableError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lrladder.benchmark.environment import PER_GPU, gpu_bytes, gpu_names
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.training.remote import opened
from lrladder.benchmark.training.site import Machines
from lrladder.models.no_megablocks import no_megablocks

PACKAGE = Path(__file__).parents[2]  # lrladder, which has our code
LOOK_SECONDS = 120.0  # for a machine to answer; assumption: importing torch takes less

Found = TypeVar("Found")


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


def survey() -> list[Seen]:
    """All machines with cores or GPUs for trials. Raises InputError if there is none, or one has other software."""
    seen: list[Seen] = _on_each(look)
    if not seen:
        raise InputError("executor: no machine of the Ray cluster has cores or GPUs for trials; start one first")
    for one in seen:
        if one.software != software():
            raise InputError(
                f"executor: {one.node} has {one.software}, but this machine has {software()}; install the same"
            )
    return seen


def machines(seen: Sequence[Seen], limit: int | None) -> Machines:
    """What the cluster offers for training. `limit` is the most trials that the user wants at a time."""
    gpus = tuple(name for one in seen for name in one.gpus)
    cores = int(sum(node["Resources"].get("CPU", 0) for node in _alive()))
    with_gpus = [one for one in seen if one.gpus]
    count = PER_GPU * len(gpus) or cores
    return Machines(
        called="the Ray cluster",
        workers=min(limit or count, count),
        devices=len(gpus) or cores,
        gpus=gpus,
        gpu_bytes=min((one.gpu_bytes for one in with_gpus if one.gpu_bytes), default=None),
        no_megablocks=next((one.no_megablocks for one in with_gpus if one.no_megablocks), None)
        if with_gpus
        else "expert_backend megablocks needs CUDA GPUs and the Ray cluster has none; use expert_backend: grouped",
        facts={"executor": f"Ray {ray.__version__} on {len(seen)} machines"},
    )


def require_shared(place: str, mark: str) -> None:
    """Raises InputError unless every machine finds the file `mark` in the folder or URL of the checkpoints."""
    for node in _on_each(partial(lacks, place=place, mark=mark)):
        if node is not None:
            raise InputError(
                f"executor.checkpoints: {node} does not see {place}; give a folder or URL that all machines share"
            )


def lacks(node: str, *, place: str, mark: str) -> str | None:
    """`node` if this machine does not find a file in a folder or below a URL."""
    files, root = opened(place)
    return None if files.exists(f"{root}/{mark}") else node


def _alive() -> list[Any]:
    """Nodes that can train."""
    nodes = [node for node in ray.nodes() if node["Alive"]]
    return [node for node in nodes if node["Resources"].get("CPU") or node["Resources"].get("GPU")]


def _on_each(function: Callable[[str], Found]) -> list[Found]:
    """The results of a function of the address, called on each machine. One that goes away meanwhile has no result.

    Raises InputError if a machine cannot run the function.
    """
    remote: Any = ray.remote(max_retries=0, num_cpus=0)(_call)
    refs = [
        remote.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
            function, node["NodeManagerAddress"]
        )
        for node in _alive()
    ]
    found = []
    for ref in refs:
        try:
            found.append(ray.get(ref, timeout=LOOK_SECONDS))
        except (NodeDiedError, TaskUnschedulableError):
            continue
        except RayError as error:
            why = " ".join(str(error).split())[-300:]
            raise InputError(f"executor: a machine of the Ray cluster cannot run LR Ladder ({why})") from error
    return found


def _call(function: Callable[[str], Found], node: str) -> Found:
    return function(node)
