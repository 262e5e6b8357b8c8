"""Stands in for training, so that store, executor and lab are tested in milliseconds."""

import math
import os
import signal
from collections.abc import Callable
from pathlib import Path

from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial

FAULTY_SEED, DEADLY_SEED, STOPPED_SEED, HUNG_SEED, ENDLESS_SEED, FOLLOWING_SEED = 13, 66, 77, 78, 99, 100
RANKS = ("RANK", "LOCAL_RANK", "WORLD_SIZE")
Log = Callable[[dict[str, object]], None]


def fake_measurements(trial: Trial) -> list[TrialMeasurement]:
    """A parabola in ln lr with its minimum at 0.01; LRs above 1 diverge."""
    verdict = "diverged" if trial.lr > 1 else "finished"
    return [
        TrialMeasurement.of(
            trial,
            horizon,
            verdict=verdict,
            loss=None if trial.lr > 1 else 3 + math.log(trial.lr / 0.01) ** 2 + 1e4 / horizon,
            loss_se=None if trial.lr > 1 else 0.01,
        )
        for horizon in trial.horizons
    ]


def start(folder: Path) -> Callable[[Trial, Log], list[TrialMeasurement]]:
    """Runner that leaves a mark per run; seed 13 always raises, seed 66 kills its worker at the first try.

    Seeds 77 and 78 leave the file `silent` at the first try; then 77 stops its worker, and 78 waits without end. At
    the second try 77 writes a note.
    Seed 99 trains until it is told to end, and leaves the file `saved`; seed 100 ends once seed 99 has begun.
    """

    def run(trial: Trial, log: Log) -> list[TrialMeasurement]:
        log({"step": 0})
        marks = folder / f"ran-{trial.id}"
        first = not marks.exists()
        with marks.open("a") as file:
            file.write("x")
        if trial.seed == FAULTY_SEED:
            raise RuntimeError("planted\nfault")
        if trial.seed == DEADLY_SEED and first:
            os.kill(os.getpid(), signal.SIGKILL)
        if trial.seed in (STOPPED_SEED, HUNG_SEED) and first:
            (folder / "silent").touch()
            if trial.seed == STOPPED_SEED:
                os.kill(os.getpid(), signal.SIGSTOP)
            signal.pause()
        if trial.seed == STOPPED_SEED:
            log({"note": "a planted note"})
        if trial.seed == ENDLESS_SEED:
            _train_until_told(folder)
        if trial.seed == FOLLOWING_SEED:
            (folder / "begun").read_text()
        return fake_measurements(trial)

    return run


def start_and_tell_ranks(folder: Path) -> Callable[[Trial, Log], list[TrialMeasurement]]:
    """Leaves the ranks that training would see in the file `ranks`."""
    (folder / "ranks").write_text(" ".join(os.environ.get(name, "unset") for name in RANKS))
    return start(folder)


def _train_until_told(folder: Path) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # it may come before it is waited for
    (folder / "begun").write_text("")  # a named pipe, read by the runner that follows
    signal.sigwait({signal.SIGTERM})
    (folder / "saved").touch()
    raise SystemExit
