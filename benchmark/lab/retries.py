"""Decides whether a failed trial is tried again, and with which settings."""

from collections import Counter
from collections.abc import Callable

from lrladder.benchmark.lab.executor import Fault, Say
from lrladder.benchmark.lab.trial import Trial

ATTEMPTS = 2  # the machine may be the cause of a fault, so a failed trial is tried once more in a fresh worker
# Parts of the messages of Python, torch, the CUDA libraries, the C library and Ray, and of what we say of a killed
# process. A fault comes from other processes, as text.
SIGNS = (
    "MemoryError",
    "out of memory",
    "OutOfMemoryError",
    "annot allocate memory",
    "can't allocate memory",
    "ALLOC_FAILED",
    "low on memory",
)
REMEDY = "give it less to hold: a smaller training.micro_batch, training.recompute: blocks, or fewer --workers"

Smaller = Callable[[Trial], Trial | None]  # the trial with half the micro batch; None if there is no such trial


def none_smaller(trial: Trial) -> None:
    """For an executor whose trials have no micro batch."""


class Retries:
    """Each trial is tried once more after a fault, and once with half the micro batch if it had too little memory.

    `say` gets a sentence for each trial that is tried again.
    """

    def __init__(self, smaller: Smaller, say: Say) -> None:
        self._smaller, self._say = smaller, say
        self._faults = Counter[str]()
        self._halved: set[str] = set()

    def after(self, trial: Trial, fault: Fault) -> Trial | Fault:
        """What to train instead of a trial that failed, or the fault that it ends with."""
        if not lacks_memory(fault):
            return self._once_more(trial, fault)
        if trial.id in self._halved:
            return Fault(f"{fault.message}; {REMEDY}")
        if (smaller := self._smaller(trial)) is None:
            again = self._once_more(trial, fault)  # another process may have taken the memory
            return Fault(f"{fault.message}; {REMEDY}") if isinstance(again, Fault) else again
        self._halved.add(trial.id)
        size = smaller.training.micro_batch
        self._say(f"trial {trial.id}: {fault.message}; it is tried again in micro batches of {size} of its sequences")
        return smaller

    def _once_more(self, trial: Trial, fault: Fault) -> Trial | Fault:
        self._faults[trial.id] += 1
        if self._faults[trial.id] >= ATTEMPTS:
            return fault
        self._say(f"trial {trial.id}: {fault.message}; it is tried again")
        return trial


def lacks_memory(fault: Fault) -> bool:
    """Whether a fault says that a process had too little memory."""
    return any(sign in fault.message for sign in SIGNS)
