"""The site that is this machine: processes that train on its GPUs, or on its cores."""

from collections.abc import Sequence
from functools import partial

from lrladder.benchmark.environment import cuda_devices, default_workers, gpu_bytes, gpu_names
from lrladder.benchmark.lab.executor import Executor, Say
from lrladder.benchmark.lab.heartbeat import allowed_silence
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.workers import LocalExecutor
from lrladder.benchmark.training import compiling
from lrladder.benchmark.training.memory import PROCESS_BYTES, device_bytes, halved, micro_batch_of
from lrladder.benchmark.training.site import Machines
from lrladder.benchmark.training.worker import WorkerSetup, start_worker
from lrladder.models.no_megablocks import no_megablocks


class LocalSite:
    """This machine, with up to `workers` processes; None: one for each core, or several for each GPU."""

    def __init__(self, workers: int | None) -> None:
        count, gpus = workers or default_workers(), tuple(gpu_names())
        self.machines = Machines(
            called="this machine",
            workers=count,
            devices=len(cuda_devices()) or count,
            gpus=gpus,
            gpu_bytes=gpu_bytes(),
            no_megablocks=no_megablocks(has_gpu=bool(gpus)),
            more="" if gpus else ", or give --workers {}",
        )

    def executor(self, setup: WorkerSetup, store: Store, say: Say) -> Executor:
        return LocalExecutor(
            store.folder,
            partial(start_worker, setup),
            workers=self.machines.workers,
            devices=cuda_devices(),
            prepares=compiling.shape_of,
            fits=partial(_fit, room_bytes=self.machines.gpu_bytes),
            silence=allowed_silence(),
            smaller=partial(halved, room_bytes=self.machines.gpu_bytes),
            say=say,
        )


def _fit(trials: Sequence[Trial], *, room_bytes: float | None) -> bool:
    """Whether these trials fit on one device together. Without a GPU every core trains one trial."""
    return room_bytes is None or sum(needed_bytes(trial, room_bytes) for trial in trials) <= room_bytes


def needed_bytes(trial: Trial, room_bytes: float) -> float:
    """GPU memory that a process takes on each device of a trial, in bytes, if the device has `room_bytes`."""
    return device_bytes(trial, micro_batch_of(trial, room_bytes)) + PROCESS_BYTES
