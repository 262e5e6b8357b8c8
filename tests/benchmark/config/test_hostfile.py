"""The hosts of a hostfile, beside what DeepSpeed reads in it, and what is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrladder.benchmark.config.executor import HostsConfig
from lrladder.benchmark.config.hostfile import Host, read_hostfile
from lrladder.benchmark.config.training import TrainingConfig
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.hosts.launch import by_host
from lrladder.benchmark.studies.executors import on_executor
from lrladder.benchmark.studies.kinds import load_study, plan_of
from lrladder.benchmark.studies.slots import hosts_of, slots_of, with_hosts
from lrladder.benchmark.training.gpus import gpus_of

NAMES = st.from_regex(r"[a-z][a-z0-9.-]{0,9}", fullmatch=True)


@given(st.dictionaries(NAMES, st.integers(1, 64), min_size=1), st.sampled_from(["", "# a comment\n", "\n"]))
def test_a_hostfile_means_what_deepspeed_takes_it_to_mean(
    tmp_path_factory: pytest.TempPathFactory, slots: dict[str, int], between: str
) -> None:
    from deepspeed.launcher.runner import _parse_hostfile

    text = between.join(f"{host} slots={number}\n" for host, number in slots.items())
    path = tmp_path_factory.mktemp("hosts") / "hosts"
    path.write_text(text)
    assert dict(read_hostfile(str(path))) == dict(_parse_hostfile(text.splitlines())) == slots


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a slots=1\n\nb\n", "line 3: 'b' has no number of slots above 0; write `HOST slots=N`"),
        ("a slots=0\n", "line 1: 'a slots=0' has no number of slots"),
        ("a slots=two # comment\n", "line 1: .* has no number of slots"),
        ("a slots=1 b slots=1\n", "line 1: .* has no number of slots"),
        ("# all\na slots=1\na slots=2\n", "line 3: a stands in line 2 already; write all its slots there"),
        ("-oProxyCommand=x slots=1\n", "line 1: '-oProxyCommand=x' is no name of a host"),
        ("a;b slots=1\n", "line 1: 'a;b' is no name of a host"),
        ("# nobody\n", "names no host; write `HOST slots=N`"),
    ],
)
def test_a_bad_hostfile_is_one_line_with_its_number_and_a_remedy(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as found:
        read_hostfile(str(path))
    assert str(found.value).startswith(f"hostfile {path}") and "\n" not in str(found.value)


def test_no_hostfile_at_the_path_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read .*; give the path of a readable text file"):
        read_hostfile(str(tmp_path / "absent"))


@pytest.fixture
def hostfile(tmp_path: Path) -> str:
    (tmp_path / "hosts").write_text("node1 slots=8\nnode2 slots=4\n")
    return str(tmp_path / "hosts")


def test_a_hostfile_asks_for_hosts_and_changes_no_digest(hostfile: str) -> None:
    plain = load_study("cpu")
    study = on_executor(plain, None, hostfile=hostfile)
    assert study.executor == HostsConfig(hostfile=hostfile) and study.digest == plain.digest
    assert hosts_of(study) == (Host("node1", 8), Host("node2", 4)) and slots_of(hosts_of(study)) == 12
    assert hosts_of(plain) == ()
    with pytest.raises(InputError, match="hostfile"):
        on_executor(plain, "ray", hostfile=hostfile)
    with pytest.raises(InputError, match=r"key executor.hosts.hostfile is missing"):
        on_executor(plain, "hosts")


def test_a_plan_says_which_hosts_have_the_devices_of_a_run(hostfile: str) -> None:
    rungs = {"t64x3": {"devices": 12}, "p32x2": {"devices": 4}}
    training = TrainingConfig.model_validate({"devices": 1, "rungs": rungs})
    study = on_executor(load_study("cpu").model_copy(update={"training": training}), None, hostfile=hostfile)
    notes = with_hosts(plan_of(study), study, hosts_of(study)).notes
    assert "a run of p32x2 has 4 devices: 4 on node1" in notes
    assert "a run of t64x3 has 12 devices: 8 on node1, 4 on node2" in notes
    assert any(note.endswith(" has 1 device, on any host") for note in notes)


def test_a_plan_for_gpus_takes_all_slots_and_refuses_too_few(hostfile: str) -> None:
    study = on_executor(load_study("gpu"), None, hostfile=hostfile)
    planned = with_hosts(plan_of(study, gpus=gpus_of("h100", 12)), study, hosts_of(study))
    assert all(one.gpus is not None for one in planned.placed)
    with pytest.raises(InputError, match="needs 16 devices, but the hostfile has 12 slots; lower devices, or add"):
        with_hosts(plan_of(study, gpus=gpus_of("h100", 16)), study, hosts_of(study))


def test_slots_are_grouped_by_host_in_their_order() -> None:
    assert by_host(["b:0", "a:1", "a:3"]) == {"b": ("0",), "a": ("1", "3")}
