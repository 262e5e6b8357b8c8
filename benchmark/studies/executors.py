"""The kinds of executor: what trains the trials of a study. Another kind is a config, a site, and a line here."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from lrladder.benchmark.config.executor import ExecutorConfig, HostsConfig, LocalConfig, RayConfig
from lrladder.benchmark.config.strict import Strict
from lrladder.benchmark.config.text import validate
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.benchmark.studies.kinds import kind_of
from lrladder.benchmark.training.local import LocalSite
from lrladder.benchmark.training.site import Site

Study = TypeVar("Study", bound=StudyConfig)


@contextmanager
def _local(config: LocalConfig, workers: int | None) -> Iterator[Site]:
    yield LocalSite(workers)


@contextmanager
def _hosts(config: HostsConfig, workers: int | None) -> Iterator[Site]:
    from lrladder.benchmark.hosts.site import open_hosts

    with open_hosts(config, workers) as site:
        yield site


@contextmanager
def _ray(config: RayConfig, workers: int | None) -> Iterator[Site]:
    from lrladder.benchmark.cluster.site import open_cluster

    with open_cluster(config, workers) as site:
        yield site


KINDS: dict[str, Callable[[Any, int | None], AbstractContextManager[Site]]] = {
    "local": _local,
    "hosts": _hosts,
    "ray": _ray,
}


def open_site(config: ExecutorConfig, workers: int | None) -> AbstractContextManager[Site]:
    """Where the trials of a study are trained, while the context is open. Raises InputError."""
    return KINDS[config.kind](config, workers)


def on_executor(study: Study, kind: str | None, **keys: str | None) -> Study:
    """The study on another kind of executor, or with other keys of its executor. None: as the config says.

    A hostfile asks for hosts by itself. Raises InputError for what is unknown, does not fit, or makes no difference.
    """
    if kind is None and keys.get("hostfile") is not None:
        kind = "hosts"
    given = {name: value for name, value in {"kind": kind, **keys}.items() if value is not None}
    if not given:
        return study
    if not study.trained_here or kind_of(study).simulated_lab(study) is not None:
        raise InputError(
            f"--executor: {study.name} trains no run here; leave out --executor, --hostfile, --address and --listen"
        )
    now = study.executor.model_dump(exclude_defaults=True) | {"kind": study.executor.kind}
    kept = now if kind in (None, study.executor.kind) else {}
    chosen = validate(_Chosen, {"executor": {**kept, **given}}, source="--executor")
    return study.model_copy(update={"executor": chosen.executor})


class _Chosen(Strict):
    executor: ExecutorConfig
