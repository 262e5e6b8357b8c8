"""Decides which trials torch.compile compiles. This changes no trial id: losses agree to the rounding of fp32 sums.

LRLADDER_COMPILE or `run --no-compile` switches compilation off for the whole process.
"""

import os
from collections.abc import Hashable
from pathlib import Path
from typing import Literal

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import make_private
from lrladder.benchmark.lab.trial import Trial

Choice = Literal["auto", "off"]
VARIABLE = "LRLADDER_COMPILE"  # worker processes inherit it
CACHE = "TORCHINDUCTOR_CACHE_DIR"  # torch's own name; all later processes use the cache
THREADS = "TORCHINDUCTOR_COMPILE_THREADS"
# A trial is compiled if its training FLOPs are at least this. CPU: 2 to 5 s of one core. Compiling a shape takes 15 s
# once and 0.5 s in each later process, and saves a fifth (docs/performance.md). GPU: by the same reasoning, unmeasured.
PAYS_FROM = {"cpu": 4e10, "cuda": 1e15}
# Compiler processes of one worker. CPU: 1, because every core has a worker, and helpers would outlive a stopped worker.
# GPU: workers share the cores, and torch would start one helper per core for each worker; 4 is an assumption.
HELPERS = {"cpu": "1", "cuda": "4"}


def choose(choice: Choice) -> None:
    """Set the choice for this process and the processes that it starts."""
    os.environ[VARIABLE] = choice


def chosen() -> Choice:
    """The choice for this process. Raises InputError for an unknown value."""
    match os.environ.get(VARIABLE, "auto"):
        case "auto":
            return "auto"
        case "off":
            return "off"
        case other:
            raise InputError(f"{VARIABLE}: {other!r} is not a known choice; set it to auto or off")


def prepare(cache: Path, device: str) -> bool:
    """Called once in each worker. Returns whether it can compile; if not, prints the reason on stdout."""
    if chosen() == "off":
        return False
    os.environ.setdefault(CACHE, str(cache))
    make_private(Path(os.environ[CACHE]))  # code that this process runs
    os.environ.setdefault(THREADS, HELPERS[device])
    from lrladder.models.compiled import compiler_missing

    if (reason := compiler_missing()) is not None:
        print(reason, flush=True)
    return reason is None


def pays(trial: Trial, device: str) -> bool:
    """Whether the trial trains long enough on this device for compilation to save time."""
    return trial.flops >= PAYS_FROM[device]


def is_possible(trial: Trial) -> bool:
    """Whether the settings of the trial allow compilation.

    At ZeRO 3 no rank holds a block to compare with. Experts on other ranks get another number of tokens at each step,
    and each number would be compiled anew.
    """
    return trial.training.zero_stage < 3 and trial.training.expert_parallel == 1


def shape_of(trial: Trial) -> Hashable:
    """What has to be compiled for a trial, in a form that can be compared; None if it trains uncompiled.

    Models that differ only in depth share it.
    """
    if not expected(trial):
        return None
    return trial.shape.model_copy(update={"depth": 1}), trial.batch_tokens, trial.expert_backend, trial.training


def expected(trial: Trial) -> bool:
    """Whether a worker will compile the trial if the machine can. A bf16 trial runs on a GPU."""
    return chosen() == "auto" and is_possible(trial) and pays(trial, "cuda" if trial.precision == "bf16" else "cpu")
