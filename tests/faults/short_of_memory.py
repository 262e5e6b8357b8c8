"""Runners whose memory is too small. They import no torch before they have the memory for it."""

import resource
from collections.abc import Callable
from pathlib import Path

from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial
from tests.benchmark.lab.fake_runner import Log

ROOM = 4  # sequences


def start_short(folder: Path) -> Callable[[Trial, Log], list[TrialMeasurement]]:
    """Trains, but only up to ROOM sequences at a time; with more, memory is asked for beyond the limit."""

    def run(trial: Trial, log: Log) -> list[TrialMeasurement]:
        micro_batch = trial.training.micro_batch
        if micro_batch == "auto" or micro_batch > ROOM:
            _, most = resource.getrlimit(resource.RLIMIT_AS)
            resource.setrlimit(resource.RLIMIT_AS, (2**35, most))  # of the process, which this fault ends
            bytearray(2**36)
        from lrladder.benchmark.training.train import train
        from tests.benchmark.trials import tiny_corpus

        return train(trial, tiny_corpus(folder), log=log, micro_batch=micro_batch)

    return run


def start_starved(folder: Path) -> Callable[[Trial, Log], list[TrialMeasurement]]:
    """Never has enough memory."""

    def run(trial: Trial, log: Log) -> list[TrialMeasurement]:
        raise MemoryError

    return run
