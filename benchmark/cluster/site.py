"""The site that is a Ray cluster. Ray is imported when one is opened."""

import importlib.util
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from lrladder.benchmark.config.executor import RayConfig
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import cache_folder
from lrladder.benchmark.lab.executor import Executor, Say
from lrladder.benchmark.lab.heartbeat import allowed_silence
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.training import compiling
from lrladder.benchmark.training.files import stable_hash
from lrladder.benchmark.training.remote import opened
from lrladder.benchmark.training.site import Machines, Site
from lrladder.benchmark.training.worker import WorkerSetup


class RaySite(NamedTuple):
    """A cluster that this process is connected to. `limit` is the most trials at a time."""

    config: RayConfig
    machines: Machines
    limit: int | None

    def executor(self, setup: WorkerSetup, store: Store, say: Say) -> Executor:
        from lrladder.benchmark.cluster.executor import RayExecutor

        setup, url = self._shared(setup)
        return RayExecutor(
            store,
            setup,
            url=url,
            machines=self.machines,
            limit=self.limit,
            silence=allowed_silence(),
            settings={compiling.VARIABLE: compiling.chosen()},
            say=say,
        )

    def _shared(self, setup: WorkerSetup) -> tuple[WorkerSetup, str | None]:
        """The setup with paths for every machine, and the URL of the checkpoints. Raises InputError."""
        from lrladder.benchmark.cluster.survey import require_shared

        place = self.config.checkpoints or str(setup.trunks)
        url = place if "://" in place else None
        folder = Path(place).expanduser().resolve()
        with _mark(url or str(folder)) as mark:
            require_shared(url or str(folder), mark)
        if url is not None:
            folder = cache_folder().resolve() / "checkpoints" / stable_hash("checkpoints", url)[:16]
        verified = setup.verified._replace(entry=setup.verified.entry.resolve())
        weights = setup.weights and setup.weights.resolve()
        return setup._replace(trunks=folder, verified=verified, weights=weights), url


@contextmanager
def _mark(place: str) -> Iterator[str]:
    """A file in the place of the checkpoints, by which other machines recognise it."""
    files, root = opened(place)
    name = f".seen-{uuid.uuid4().hex[:8]}"
    try:
        files.makedirs(root, exist_ok=True)
        files.touch(f"{root}/{name}")
    except OSError as error:
        raise InputError(f"executor.checkpoints: {place} cannot be written ({error}); give another place") from error
    try:
        yield name
    finally:
        files.rm_file(f"{root}/{name}")


@contextmanager
def open_cluster(config: RayConfig, workers: int | None) -> Iterator[Site]:
    """Connect to the cluster and look at its machines. Raises InputError."""
    if importlib.util.find_spec("ray") is None:
        raise InputError("executor: kind ray needs Ray: pip install -c constraints.txt -e '.[cluster]'")
    from lrladder.benchmark.cluster.connection import connected
    from lrladder.benchmark.cluster.survey import machines, survey

    with connected(config):
        yield RaySite(config, machines(survey(), workers), workers)
