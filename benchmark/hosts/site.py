"""The site that is the hosts of a hostfile."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

from lrladder.benchmark.config.executor import HostsConfig
from lrladder.benchmark.config.hostfile import Hosts, read_hostfile
from lrladder.benchmark.environment import PER_GPU
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.hosts.launch import addresses, linked, start_launcher
from lrladder.benchmark.hosts.link import Link
from lrladder.benchmark.lab.executor import Executor, Say
from lrladder.benchmark.lab.heartbeat import allowed_silence
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.workers import LocalExecutor
from lrladder.benchmark.training.local import needed_bytes
from lrladder.benchmark.training.members import RankLost
from lrladder.benchmark.training.memory import halved
from lrladder.benchmark.training.seen import Seen, software
from lrladder.benchmark.training.site import Machines, Site
from lrladder.benchmark.training.worker import WorkerSetup

SAID_BYTES = 4096  # of what a host said, the end is read
SAID_CHARACTERS = 200  # of its last line, which are shown


class HostsSite(NamedTuple):
    """Hosts that were all reached."""

    config: HostsConfig
    hosts: Hosts
    machines: Machines

    def executor(self, setup: WorkerSetup, store: Store, say: Say) -> Executor:
        room = self.machines.gpu_bytes
        setup = _resolved(setup)
        self._require_shared(setup)
        return LocalExecutor(
            store.folder,
            partial(start_launcher, setup, room),
            workers=self.machines.workers,
            devices=[f"{host.name}:{slot}" for host in self.hosts for slot in range(host.slots)],
            fits=partial(_fit, room_bytes=room),
            silence=allowed_silence(),
            smaller=partial(halved, room_bytes=room),
            say=say,
        )

    def _require_shared(self, setup: WorkerSetup) -> None:
        """Raises InputError unless every host sees the corpus and the folders of the study."""
        setup.trunks.mkdir(exist_ok=True)
        mark = tempfile.NamedTemporaryFile(prefix=".seen-", dir=setup.trunks)  # noqa: SIM115
        corpus = setup.verified.entry / "manifest.json"
        with mark, _asked(self.config, self.hosts) as links:
            for link in links:
                missed = link.ask("misses", [mark.name, str(corpus)])
                if mark.name in missed:
                    raise InputError(f"{_named(self.config)}: {link} does not see {setup.trunks}; {SHARE_OUT}")
                if missed:
                    raise InputError(f"{_named(self.config)}: {link} does not see {corpus.parent}; {SHARE_CACHE}")


SHARE_OUT = "put OUT into a folder that all hosts see under the same path"
SHARE_CACHE = "set LRLADDER_CACHE to a folder that all hosts see under the same path"


def _resolved(setup: WorkerSetup) -> WorkerSetup:
    """The setup with paths for every host."""
    verified = setup.verified._replace(entry=setup.verified.entry.resolve())
    weights = setup.weights and setup.weights.resolve()
    return setup._replace(trunks=setup.trunks.resolve(), verified=verified, weights=weights)


def _fit(trials: Sequence[Trial], *, room_bytes: float | None) -> bool:
    """Whether these trials fit on one slot together. A core trains one trial."""
    return room_bytes is not None and sum(needed_bytes(trial, room_bytes) for trial in trials) <= room_bytes


@contextmanager
def open_hosts(config: HostsConfig, workers: int | None) -> Iterator[Site]:
    """Read the hostfile, and look at every host. Raises InputError."""
    hosts = read_hostfile(config.hostfile)
    with _asked(config, hosts) as links:
        addresses(links)  # refuse here what the ranks would need
        seen: list[Seen] = [link.ask("look", link.host) for link in links]
    yield HostsSite(config, hosts, machines(config, hosts, seen, workers))


def machines(config: HostsConfig, hosts: Hosts, seen: Sequence[Seen], limit: int | None) -> Machines:
    """What the hosts offer. Raises InputError if they differ, or have fewer GPUs than slots."""
    has_gpus = any(one.gpus for one in seen)
    for host, one in zip(hosts, seen, strict=True):
        if one.software != software():
            raise InputError(
                f"{_named(config)}: {host.name} has {one.software}, but this machine has {software()}; install the same"
            )
        if has_gpus and len(one.gpus) < host.slots:
            raise InputError(
                f"{_named(config)}: {host.name} has slots={host.slots}, but {len(one.gpus)} GPUs; lower its slots, or "
                "remove the host"
            )
    slots = sum(host.slots for host in hosts)
    count = PER_GPU * slots if has_gpus else slots
    listed = ", ".join(f"{host.name} slots={host.slots}" for host in hosts)
    return Machines(
        called=f"the hostfile {config.hostfile}",
        workers=min(limit or count, count),
        devices=slots,
        gpus=tuple(name for host, one in zip(hosts, seen, strict=True) for name in one.gpus[: host.slots]),
        gpu_bytes=min((one.gpu_bytes for one in seen if one.gpu_bytes), default=None),
        no_megablocks=next((one.no_megablocks for one in seen if one.no_megablocks), None)
        if has_gpus
        else "expert_backend megablocks needs CUDA GPUs and the hosts have none; use expert_backend: grouped",
        facts={"executor": f"hosts of a hostfile: {listed}"},
        more=", or add slots",
    )


@contextmanager
def _asked(config: HostsConfig, hosts: Hosts) -> Iterator[list[Link]]:
    """Lines to all hosts. Raises InputError if one of them cannot be reached, with what it said last."""
    names = [host.name for host in hosts]
    with ExitStack() as files:
        errors = [files.enter_context(tempfile.TemporaryFile()) for _ in names]
        try:
            with linked(names, errors) as links:
                yield links
        except RankLost as error:
            told = (_last_line(file) for name, file in zip(names, errors, strict=True) if _is_of(error, name))
            raise InputError(f"{_named(config)}: {error}{''.join(f' ({line})' for line in told if line)}") from None


def _is_of(error: RankLost, host: str) -> bool:
    return str(error).startswith(f"host {host} ")


def _last_line(file: Any) -> str:
    size = file.seek(0, 2)
    file.seek(max(0, size - SAID_BYTES))
    lines = file.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:SAID_CHARACTERS] if lines else ""


def _named(config: HostsConfig) -> str:
    return f"hostfile {config.hostfile}"
