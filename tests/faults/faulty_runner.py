"""A stand-in for training that fails at the first attempt of some trials, each time in another way."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial
from tests.benchmark.lab.fake_runner import Log, fake_measurements

KINDS = ("exit", "abort", "kill", "hang", "stop", "garbage in the log", "garbage as the result")


def fault_of(seed: int, every: int) -> str | None:
    """The fault of a trial at its first attempt: one trial in `every` has one, of each kind in turn."""
    return KINDS[seed // every % len(KINDS)] if seed % every == every // 2 else None


def start(folder: Path, every: int) -> Callable[[Trial, Log], list[TrialMeasurement]]:
    """A runner that fails at the first attempt of some trials."""

    def run(trial: Trial, log: Log) -> list[TrialMeasurement]:
        log({"step": 0, "tokens": 0, "lr": trial.lr, "loss": 5.0})
        kind, mark = fault_of(trial.seed, every), folder / f"failed-{trial.id}"
        if kind is None or mark.exists():
            return fake_measurements(trial)
        mark.touch()
        return _fail(kind, folder / "trials" / f"{trial.id}.jsonl")

    return run


def _fail(kind: str, log: Path) -> list[TrialMeasurement]:
    match kind:
        case "exit":
            os._exit(3)
        case "abort":
            os.abort()
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "garbage in the log":
            with log.open("ab") as file:
                file.write(b'\x00\xff{"measurements": [{}]}\n{"measurements": 7, "digest"')
            raise RuntimeError("after garbage")
        case "garbage as the result":
            return [7]  # type: ignore[list-item]
    signal.pause()
    raise AssertionError("not reached")
