"""Many tiny trials through the real executor and store, with faults injected. `python -m tests.faults.soak 2000`.

Prints the figures. A test runs a sample.
"""

import json
import os
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import NamedTuple

from lrladder.benchmark.lab.executor import Fault
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.workers import LocalExecutor
from tests.benchmark.lab.fake_runner import fake_measurements
from tests.benchmark.trials import tiny_trial
from tests.faults.faulty_runner import fault_of, start

SILENCE = 2.0  # seconds


class Figures(NamedTuple):
    """What a soak came to. `memory`: resident bytes of the coordinator after a tenth of the trials and at the end."""

    trials: int
    faults: Counter[str]
    retried: int
    lost: int
    wrong: int
    twice: int
    processes_left: int
    memory: tuple[int, int]
    seconds: float


def soak(folder: Path, num_trials: int, *, every: int, workers: int) -> Figures:
    """Train the trials by a stand-in; one in `every` fails at its first attempt."""
    trials = [tiny_trial(seed=seed) for seed in range(num_trials)]
    store = Store.open(folder, config_digest="c", corpus_digest="d")
    said: list[str] = []
    executor = LocalExecutor(folder, partial(start, folder, every), workers=workers, silence=SILENCE, say=said.append)
    began, seen, early = time.monotonic(), Counter[str](), 0
    for trial, outcome in executor.run(trials):
        seen[trial.id] += 1
        early = early or (_resident() if len(seen) >= num_trials / 10 else 0)
        if not isinstance(outcome, Fault):
            store.put(trial, outcome)
    executor.close()
    late = _resident()
    stored = dict(store.all())
    store.close()
    return Figures(
        trials=num_trials,
        faults=Counter(kind for trial in trials if (kind := fault_of(trial.seed, every))),
        retried=len(said),
        lost=sum(trial not in stored for trial in trials),
        wrong=sum(stored.get(trial) != fake_measurements(trial) for trial in trials),
        twice=sum(seen[trial.id] != 1 or _results_in_log(folder, trial) != 1 for trial in trials),
        processes_left=_children(),
        memory=(early, late),
        seconds=time.monotonic() - began,
    )


def _results_in_log(folder: Path, trial: Trial) -> int:
    """Lines of its log that hold whole measurements."""
    lines = (folder / "trials" / f"{trial.id}.jsonl").read_bytes().splitlines()
    whole = (line for line in lines if line.startswith(b'{"measurements": [{"'))
    return sum("digest" in json.loads(line) for line in whole)


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _children() -> int:
    """Processes of workers; the tracker of Python's own shared resources stays until the end."""
    tasks = Path("/proc/self/task").glob("*/children")
    pids = [pid for path in tasks for pid in path.read_text().split()]
    commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids]
    return sum(b"resource_tracker" not in command for command in commands)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        for name, value in soak(Path(made), int(sys.argv[1]), every=50, workers=2)._asdict().items():
            print(f"{name}: {value}")
