"""What runs on the machines of a cluster: one trial, or one rank of a trial."""

import os
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from lrladder.benchmark.cluster.arrival import arrived
from lrladder.benchmark.cluster.meeting import join
from lrladder.benchmark.cluster.post import Post
from lrladder.benchmark.environment import keep_freed_memory, train_alone
from lrladder.benchmark.errors import one_line
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.training.checkpoints import STOP
from lrladder.benchmark.training.rank import train_share
from lrladder.benchmark.training.shared import Sharing
from lrladder.benchmark.training.worker import Trainer, WorkerSetup, job_of, start_worker


class Coordinator(NamedTuple):
    """What a task knows of the coordinator: the actors beside it, and settings of its environment."""

    mailbox: Any
    corpus: Any
    settings: Mapping[str, str]


class Assignment(NamedTuple):
    """One attempt to train a trial."""

    trial: Trial
    setup: WorkerSetup  # as the coordinator sees the files
    sharing: Sharing
    attempt: int
    gpu_bytes: int | None  # memory of the smallest GPU of the cluster; None: it has none

    @property
    def has_gpu(self) -> bool:
        """Whether trials train on GPUs."""
        return self.gpu_bytes is not None


Found = list[TrialMeasurement] | None  # None: told to end before it was done, or a rank that is not the first


def train_trial(coordinator: Coordinator, given: Assignment) -> Found:
    """Train a trial on one device. After a fault the process ends, because its state may be corrupt."""
    _settle(coordinator, given)
    with Post(coordinator.mailbox, given.attempt, 0) as post:
        return _answered(post, lambda: _trainer(given.setup, coordinator)(given.trial, post.row, given.sharing))


def train_rank(coordinator: Coordinator, given: Assignment, rank: int) -> Found:
    """Train one rank of a trial, in a process that does nothing else."""
    _settle(coordinator, given)
    count = given.trial.training.devices
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": "1"}

    def train() -> Found:
        setup = arrived(given.setup, coordinator.corpus)
        device = join(coordinator.mailbox, given.attempt, rank, count)
        job = job_of(setup, given.trial, device, given.sharing, room_bytes=given.gpu_bytes)
        found = train_share(job, None, post.row if rank == 0 else lambda row: None)
        return found if rank == 0 else None

    with Post(coordinator.mailbox, given.attempt, rank) as post:
        return _answered(post, train)


def _settle(coordinator: Coordinator, given: Assignment) -> None:
    keep_freed_memory()
    train_alone()
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", **coordinator.settings}
    if not given.has_gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    STOP.clear()  # of the trial before


def _answered(post: Post, train: Callable[[], Found]) -> Found:
    try:
        return train()
    except SystemExit:
        return None
    except Exception as error:
        post.fault(one_line(error), traceback.format_exc())
        os._exit(1)


_started: dict[WorkerSetup, Trainer] = {}  # of this process, which trains many trials of one study


def _trainer(setup: WorkerSetup, coordinator: Coordinator) -> Trainer:
    if setup not in _started:
        _started.clear()
        _started[setup] = start_worker(arrived(setup, coordinator.corpus))
    return _started[setup]
