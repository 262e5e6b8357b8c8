"""Which trials are compiled. It changes no trial and no id: losses agree to the rounding of fp32 sums.

The choice is of the process, LRLADDER_COMPILE or `run --no-compile`.
"""

import os
from pathlib import Path
from typing import Literal

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.trial import Trial

Choice = Literal["auto", "off"]
VARIABLE = "LRLADDER_COMPILE"  # worker processes inherit it
CACHE = "TORCHINDUCTOR_CACHE_DIR"  # torch's own name; what it holds is used by all later processes
THREADS = "TORCHINDUCTOR_COMPILE_THREADS"
# Training FLOPs of a trial from which compiling its shape pays. CPU: about 2 s of one core; a shape costs 15 s once and
# 0.5 s in each later process, and gains a fifth (docs/performance.md). GPU: the same reasoning, unmeasured.
PAYS_FROM = {"cpu": 5e10, "cuda": 1e15}
# Processes that compile for one worker. CPU: every core has its worker, and helpers would outlive one that is stopped.
# GPU: several workers share the cores, where torch would start a helper a core for each; 4 is an assumption.
HELPERS = {"cpu": "1", "cuda": "4"}


def choose(choice: Choice) -> None:
    """For this process and those it starts."""
    os.environ[VARIABLE] = choice


def chosen() -> Choice:
    """Raises InputError for a value that is none."""
    match os.environ.get(VARIABLE, "auto"):
        case "auto":
            return "auto"
        case "off":
            return "off"
        case other:
            raise InputError(f"{VARIABLE}: {other!r} is not known; give auto or off")


def prepare(cache: Path, device: str) -> bool:
    """In a worker, once: whether it compiles at all. Says on stdout why not."""
    if chosen() == "off":
        return False
    os.environ.setdefault(CACHE, str(cache))
    os.environ.setdefault(THREADS, HELPERS[device])
    from lrladder.models.compiled import compiler_missing

    if (reason := compiler_missing()) is not None:
        print(reason, flush=True)
    return reason is None


def pays(trial: Trial, device: str) -> bool:
    return trial.flops >= PAYS_FROM[device]


def expected(trial: Trial) -> bool:
    """Whether a worker will compile it, if its machine can; bf16 is for GPUs alone."""
    return chosen() == "auto" and pays(trial, "cuda" if trial.precision == "bf16" else "cpu")
