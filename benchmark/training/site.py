"""Where trials are trained, while a study is open: which machines there are, and the executor that uses them."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from lrladder.benchmark.lab.executor import Executor, Say
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.training.worker import WorkerSetup


class Machines(NamedTuple):
    """The machines of a site. `called` is what messages call them."""

    called: str
    workers: int  # number of trials on one device each that can train at the same time
    devices: int  # the most devices that one trial can have
    gpus: tuple[str, ...] = ()  # the name of each GPU; empty: trials train on CPUs
    gpu_bytes: int | None = None  # memory of the smallest GPU
    no_megablocks: str | None = None  # why the expert backend megablocks cannot run there
    facts: Mapping[str, str] = {}  # for the environment in results.json
    more: str = ""  # the end of a message about too few devices: how to have more; {} is the number


class Site(Protocol):
    """An open site."""

    @property
    def machines(self) -> Machines:
        """The machines that were found when the site was opened."""
        ...

    def executor(self, setup: WorkerSetup, store: Store, say: Say) -> Executor:
        """An executor for the trials of a study. It writes the logs of trials beside `store`."""
        ...
