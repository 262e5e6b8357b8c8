"""What a plan says of the hosts of a hostfile: on which of them the devices of a run are."""

from collections.abc import Mapping

from lrladder.benchmark.config.executor import HostsConfig
from lrladder.benchmark.config.hostfile import Hosts, read_hostfile
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.benchmark.studies.planner import Plan


def hosts_of(study: StudyConfig) -> Hosts:
    """The hosts that train the study; none if it has no hostfile. Raises InputError."""
    return read_hostfile(study.executor.hostfile) if isinstance(study.executor, HostsConfig) else ()


def slots_of(hosts: Hosts) -> int:
    """The number of devices of all hosts."""
    return sum(host.slots for host in hosts)


def with_hosts(plan: Plan, study: StudyConfig, hosts: Hosts) -> Plan:
    """The plan with a note for each number of devices: which hosts have them. Raises InputError if they are too few."""
    if not hosts:
        return plan
    asked = {one.rung: one.gpus for one in plan.placed if one.gpus is not None}
    asked = asked or {rung.name: study.training_of(rung).devices for rung in study.trained_here}
    return plan.model_copy(update={"notes": (*plan.notes, *_notes(asked, hosts))})


def _notes(asked: Mapping[str, int], hosts: Hosts) -> list[str]:
    total, found = slots_of(hosts), []
    for devices in sorted(set(asked.values())):
        rungs = ", ".join(rung for rung, number in asked.items() if number == devices)
        if devices > total:
            raise InputError(
                f"training.devices: {rungs} needs {devices} devices, but the hostfile has {total} slots; lower "
                "devices, or add slots"
            )
        said = "1 device, on any host" if devices == 1 else f"{devices} devices: {_placed(devices, hosts)}"
        found.append(f"a run of {rungs} has {said}")
    return found


def _placed(devices: int, hosts: Hosts) -> str:
    """How many devices of a run are on each host, if it finds all slots free."""
    found = []
    for host in hosts:
        here = min(host.slots, devices)
        devices -= here
        if here:
            found.append(f"{here} on {host.name}")
    return ", ".join(found)
