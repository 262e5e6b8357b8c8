"""What a worker does, wherever it runs: it prepares once for a study and then trains one trial after another."""

import functools
import os
import signal
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

from lrladder.benchmark.environment import gpu_bytes
from lrladder.benchmark.folders import cache_folder
from lrladder.benchmark.lab.executor import Log
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.workers import SHARED
from lrladder.benchmark.training import compiling
from lrladder.benchmark.training.entry import Verified
from lrladder.benchmark.training.launch import Job, train_on_ranks
from lrladder.benchmark.training.memory import micro_batch_of
from lrladder.benchmark.training.shared import ALONE, Sharing
from lrladder.models.shape import ModelShape


class WorkerSetup(NamedTuple):
    """What the workers of a study need to know.

    Trunks of the shapes in `kept` stay in `trunks`, so that runs can continue to longer horizons, and their validated
    weights stay in `weights`, if that is given.
    """

    verified: Verified
    seq_len: int
    val_documents: int
    trunks: Path
    kept: frozenset[ModelShape] = frozenset()
    weights: Path | None = None

    def weights_of(self, trial: Trial) -> Path | None:
        """The folder for the weights of a trial; None if they are not kept."""
        return self.weights if trial.shape in self.kept else None


class Trainer(Protocol):
    """Trains one trial. `sharing` says who else may write its checkpoints."""

    def __call__(self, trial: Trial, log: Log, sharing: Sharing = ALONE) -> list[TrialMeasurement]: ...


def start_worker(setup: WorkerSetup) -> Trainer:
    """Start a worker: import the training code and open the corpus. Returns the function that trains one trial."""
    import torch

    from lrladder.benchmark.training.checkpoints import STOP
    from lrladder.benchmark.training.corpus import load
    from lrladder.benchmark.training.train import train

    signal.signal(signal.SIGTERM, lambda *_: STOP.set())
    torch.set_num_threads(1)
    corpus = load(setup.verified, setup.seq_len, setup.val_documents)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    compiles = functools.cache(
        partial(compiling.prepare, cache_folder() / "compiled", device)
    )  # checked only if compiling pays

    def run(trial: Trial, log: Log, sharing: Sharing = ALONE) -> list[TrialMeasurement]:
        if trial.training.devices > 1:
            job = job_of(setup, trial, device, sharing, room_bytes=gpu_bytes())
            return train_on_ranks(job, log=log, is_told_to_end=STOP.is_set, devices=os.environ.get(SHARED))
        compiled = compiling.pays(trial, device) and compiles()
        keep, micro_batch = trial.shape in setup.kept, micro_batch_of(trial, gpu_bytes())
        try:
            return train(
                trial,
                corpus,
                log=log,
                trunks=setup.trunks,
                keep=keep,
                weights=setup.weights_of(trial),
                micro_batch=micro_batch,
                compiled=compiled,
                sharing=sharing,
            )
        finally:
            if device == "cuda":
                torch.cuda.empty_cache()  # for other workers on this GPU

    return run


def job_of(setup: WorkerSetup, trial: Trial, device: str, sharing: Sharing = ALONE, *, room_bytes: float | None) -> Job:
    """What the ranks of a trial on several devices need to know. `device` is cuda or cpu.

    `room_bytes` is the memory of the smallest GPU of all ranks; None on a CPU.
    """
    cache = cache_folder() / "compiled" if compiling.pays(trial, device) else None
    keep, micro_batch = trial.shape in setup.kept, micro_batch_of(trial, room_bytes)
    weights = setup.weights_of(trial)
    return Job(trial, setup.verified, setup.val_documents, setup.trunks, keep, weights, micro_batch, cache, sharing)
