"""One trial on two hosts: it has the numbers of one host, and whatever is lost takes all of its processes with it."""

import os
import subprocess
import sys
from contextlib import closing, nullcontext
from pathlib import Path

import psutil
import pytest

from lrladder.benchmark.config.executor import HostsConfig
from lrladder.benchmark.config.training import TrainingSettings
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.hosts import link
from lrladder.benchmark.hosts.launch import linked
from lrladder.benchmark.hosts.site import open_hosts
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.training import members
from lrladder.benchmark.training.corpus import Corpus
from lrladder.benchmark.training.launch import train_on_ranks
from lrladder.benchmark.training.members import RankDied, RankLost
from lrladder.benchmark.training.worker import job_of
from tests.benchmark.hosts.two_hosts import (
    ENDLESS,
    HERE,
    are_gone,
    corpus_in,
    named,
    processes,
    setup_of,
    trained,
    trial_of,
)
from tests.benchmark.training.rank_cases import KILLED_AT, killed
from tests.benchmark.trials import BATCH, no_log, outcome


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{HERE}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return corpus_in(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def hostfile(tmp_path: Path) -> HostsConfig:
    path = tmp_path / "hosts"
    path.write_text("node-a slots=1\nnode-b slots=1\n")
    return HostsConfig(hostfile=str(path))


def _store(folder: Path) -> Store:
    return Store.open(folder, config_digest="c", corpus_digest="d")


def test_a_study_trains_on_its_hosts_with_the_numbers_of_one(
    corpus: Corpus, hostfile: HostsConfig, tmp_path: Path
) -> None:
    """To the last bit, through all that a study uses."""
    setup, trial, said = setup_of(corpus, tmp_path), trial_of(40 * BATCH), list[str]()
    alone = train_on_ranks(job_of(setup, trial, "cpu", room_bytes=None), log=no_log)
    setup = setup._replace(trunks=tmp_path / "out" / "trunks")
    (tmp_path / "out").mkdir()
    with open_hosts(hostfile, None) as site, closing(site.executor(setup, _store(tmp_path / "out"), said.append)) as ex:
        assert (site.machines.devices, site.machines.workers) == (2, 2)
        ((_, found),) = ex.run([trial])
    assert isinstance(found, list) and [outcome(m) for m in found] == [outcome(m) for m in alone]
    assert not said and not named("hosts.node", processes())


@pytest.mark.parametrize("which", [0, 1])
def test_a_rank_that_is_killed_ends_the_trial_on_all_hosts(which: int, corpus: Corpus, tmp_path: Path) -> None:
    held: list[psutil.Process] = []

    def kill(row: dict[str, object]) -> None:
        held.extend(processes())
        named("training.rank", held)[which].kill()

    with pytest.raises(RankLost, match=r"host node-. (failed: rank . of 2|died)"):
        trained(setup_of(corpus, tmp_path), trial_of(ENDLESS), kill)
    assert len(held) == 6 and are_gone(held)  # on each host: stand-in, node and rank


def test_a_host_whose_network_breaks_ends_the_trial_at_both_ends(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "SILENT_SECONDS", 8.0)
    held: list[psutil.Process] = []

    def freeze(row: dict[str, object]) -> None:
        held.extend(processes())
        named(str(HERE / "ssh"), held)[1].suspend()

    with pytest.raises(RankLost, match=r"host node-. (gave no sign of life|failed: rank . of 2)"):
        trained(setup_of(corpus, tmp_path), trial_of(ENDLESS), freeze)
    assert are_gone(held)


def test_a_coordinator_that_is_killed_leaves_nothing_on_the_hosts(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "tests.benchmark.hosts.two_hosts", str(tmp_path)]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as head:
        assert head.stdout is not None and head.stdout.readline() == b"trains\n"
        held = processes(head.pid)
        head.kill()
    assert len(held) == 6 and are_gone(held)


def test_a_trial_goes_on_from_a_checkpoint_until_it_is_told_to_end(corpus: Corpus, tmp_path: Path) -> None:
    """The checkpoint is one of one device, in the folder that all hosts see."""
    setup, trial, rows = setup_of(corpus, tmp_path), trial_of(ENDLESS), list[dict[str, object]]()
    setup.trunks.mkdir()
    killed(trial.model_copy(update={"training": TrainingSettings()}), setup.trunks, corpus=corpus)
    with pytest.raises(SystemExit):
        trained(setup, trial, rows.append, lambda: bool(rows))
    assert {"continued_from_tokens": KILLED_AT * BATCH} in rows and not named("hosts.node", processes())


@pytest.mark.parametrize(("drops", "is_reached"), [(2, True), (3, False)])
def test_a_connection_that_is_dropped_at_once_is_tried_again(
    drops: int, is_reached: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "drops").write_text("x" * drops)
    monkeypatch.setenv("DROPS", str(tmp_path / "drops"))
    monkeypatch.setattr(link, "PAUSE_SECONDS", 0.0)
    ends = nullcontext() if is_reached else pytest.raises(RankDied, match="host busy did not start LR Ladder")
    with ends, linked(["busy"], tries=3) as (only,):
        assert only.ask("called") == ["127.0.0.1", "50000", "127.0.0.1", "22"]
    assert (tmp_path / "drops").read_text() == "" and not named("hosts.node", processes())


def test_a_host_that_cannot_be_reached_is_one_line(hostfile: HostsConfig) -> None:
    """What another host said is no reason."""
    Path(hostfile.hostfile).write_text("noisy-a slots=1\nunknown-b slots=1\n")
    message = r"hosts: host unknown-b did not start LR Ladder; [^(]*\(ssh: Could not resolve hostname unknown-b[^(]*\)$"
    with pytest.raises(InputError, match=message), open_hosts(hostfile, None):
        pass
