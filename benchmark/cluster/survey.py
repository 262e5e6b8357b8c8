"""Looks at every machine of a cluster: its GPUs, whether it has our code, and whether it sees the checkpoints."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import ray
from ray.exceptions import NodeDiedError, RayError, TaskUnschedulableError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lrladder.benchmark.environment import PER_GPU
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.training.remote import opened
from lrladder.benchmark.training.seen import Seen, look, software
from lrladder.benchmark.training.site import Machines

LOOK_SECONDS = 120.0  # for a machine to answer; assumption: importing torch takes less

Found = TypeVar("Found")


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
        more="" if gpus else ", or give --workers {}",
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
