"""Trials on a real Ray cluster of two machines give what one machine gives, whatever happens to a machine."""

import ipaddress
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

pytest.importorskip("ray", reason="Ray is not installed: pip install -c constraints.txt -e '.[cluster]'")

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lrladder.benchmark.cluster import attempt as attempt_module
from lrladder.benchmark.cluster.attempt import Attempt
from lrladder.benchmark.cluster.mailbox import Letter
from lrladder.benchmark.cluster.site import open_cluster
from lrladder.benchmark.config.executor import RayConfig
from lrladder.benchmark.config.parts import CorpusConfig
from lrladder.benchmark.config.training import TrainingSettings
from lrladder.benchmark.lab.executor import Executor, Fault, Outcome
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.lab.stored_trials import read_trials
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.trial_log import read_log
from lrladder.benchmark.studies.executors import on_executor
from lrladder.benchmark.studies.kinds import load_study
from lrladder.benchmark.studies.runner import Ended, run_study
from lrladder.benchmark.training.corpus import Corpus, prepare
from lrladder.benchmark.training.site import Site
from lrladder.benchmark.training.train import train
from lrladder.benchmark.training.weights import kept
from lrladder.benchmark.training.worker import WorkerSetup
from tests.benchmark.cluster.machines import TwoMachines, two_machines
from tests.benchmark.cluster.smoke import numbers
from tests.benchmark.cluster.tasks import Gate, begin, freeze_first, node, wait_at
from tests.benchmark.training.rank_cases import KILLED_AT, killed
from tests.benchmark.trials import BATCH, no_log, outcome, tiny_corpus, tiny_trial
from tests.models.shapes import moe_shape

ENDLESS = 5_000 * BATCH  # tokens; so long that the trial cannot end before its machine does


@pytest.fixture(scope="module")
def cluster() -> Iterator[TwoMachines]:
    with two_machines() as made:
        yield made


@pytest.fixture(scope="module")
def site(cluster: TwoMachines) -> Iterator[Site]:
    with open_cluster(RayConfig(address=cluster.address), None) as made:
        yield made


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    tokens = np.asarray(tiny_corpus(folder, tokens=400_000).train)
    for name, part in (("train", tokens[5_000:]), ("val", tokens[:5_000])):
        part.tofile(folder / f"{name}.bin")
    files = {f"{name}_tokens": (str(folder / f"{name}.bin"),) for name in ("train", "val")}
    config = CorpusConfig.model_validate({**files, "vocab_size": 300, "val_documents": 4})
    return prepare(config, seq_len=moe_shape().seq_len, cache=folder / "cache")


def executor_of(site: Site, corpus: Corpus, folder: Path, said: list[str], *, documents: int = 4) -> Executor:
    store = Store.open(folder, config_digest="c", corpus_digest=corpus.digest)
    setup = WorkerSetup(corpus.verified, moe_shape().seq_len, documents, folder / "trunks")
    return site.executor(setup, store, said.append)


def trained_here(trials: Sequence[Trial], corpus: Corpus) -> dict[str, list[dict[str, object]]]:
    torch.set_num_threads(1)
    return {trial.id: [outcome(m) for m in train(trial, corpus, log=no_log)] for trial in trials}


def without_times(found: Iterable[tuple[Trial, Outcome]]) -> dict[str, list[dict[str, object]]]:
    outcomes = {trial.id: ended for trial, ended in found}
    assert not [ended for ended in outcomes.values() if isinstance(ended, Fault)], outcomes
    return {key: [outcome(m) for m in ended] for key, ended in outcomes.items() if not isinstance(ended, Fault)}


def rows(folder: Path, trial: Trial) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "trials" / f"{trial.id}.jsonl").read_text().splitlines()]


def attempts(folder: Path, trial: Trial) -> list[int]:
    return [row["attempt"] for row in rows(folder, trial) if "attempt" in row]


def when(monkeypatch: pytest.MonkeyPatch, act: Callable[[Attempt, Letter], None]) -> None:
    """Call `act` after each letter that the coordinator takes."""
    real = Attempt.receive

    def receive(attempt: Attempt, letter: Letter) -> None:
        real(attempt, letter)
        act(attempt, letter)

    monkeypatch.setattr(Attempt, "receive", receive)


STUDY = """
name: tiny
corpus: {{train_tokens: [{0}/train.bin], val_tokens: [{0}/val.bin], vocab_size: 300, val_documents: 4}}
ladder:
  head_size: 8
  num_experts: 4
  top_k: 2
  seq_len: 16
  batch_tokens: 64
  rungs:
    - {{name: p16x1, part: proxy, width: 16, depth: 1, horizons: [640]}}
    - {{name: t24x1, part: target, width: 24, depth: 1, horizons: [640]}}
schedule: {{warmup_tokens: 128}}
base: p16x1
entries:
  mutransfer: {{paradigm: mutransfer, parametrization: mup, lr_guess: 0.03, points: 3, factor: 3, max_extensions: 0}}
validation: {{seeds: [0, 1], oracle_factor: 3, max_extensions: 0, oracle_refine: false, snap_proposals: false}}
training: {{keep_weights: targets}}
"""


def test_a_study_whose_coordinator_was_killed_goes_on_and_is_that_of_one_machine(
    cluster: TwoMachines, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LRLADDER_CACHE", str(tmp_path / "cache"))
    preset, folder = tmp_path / "tiny.yaml", tmp_path / "ray"
    preset.write_text(STUDY.format(corpus.path.parent.parent))
    command = (sys.executable, "-m", "lrladder", "run", preset, "--out", folder, "--executor", "ray")
    with subprocess.Popen([*command, "--address", cluster.address], stdout=subprocess.PIPE, text=True) as coordinator:
        assert coordinator.stdout is not None
        assert any(line.startswith("[1/") for line in coordinator.stdout), "no trial ended"
        coordinator.kill()
    study = load_study(str(preset))
    on_ray = run_study(on_executor(study, "ray", address=cluster.address), folder)
    on_one = run_study(study, tmp_path / "local", workers=1)
    assert numbers(on_ray) == numbers(on_one)
    assert _trained(on_one) == len(list((folder / "trials").iterdir())) > _trained(on_ray)
    assert _trained(run_study(study, folder, workers=1)) == 0
    assert_same_weights(folder, tmp_path / "local")


def assert_same_weights(folder: Path, other: Path) -> None:
    """The runs of targets have kept their weights in both folders, and they are equal to the last bit."""
    targets = [trial for trial, _ in read_trials(folder) if trial.shape.width == 24]
    assert targets
    for trial in targets:
        one, two = (kept(place / "weights", trial, 640, say=print) for place in (folder, other))
        assert one is not None and two is not None and one.keys() == two.keys()
        assert all(torch.equal(one[name], two[name]) for name in one)
    assert len(list((folder / "weights").glob("*.json"))) == len(targets)


def _trained(ended: Ended[Any]) -> int:
    return int(ended.results.trials.trained_now)


def test_trials_are_those_of_one_machine_to_the_last_bit_and_each_has_a_core(
    site: Site, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters: list[int] = []
    when(monkeypatch, lambda attempt, letter: letters.append(attempt.number))
    trials = [tiny_trial(seed=seed) for seed in range(4)]
    (tmp_path / "trunks").mkdir()
    killed(trials[0], tmp_path / "trunks", corpus=corpus)  # as a local run left it
    executor = executor_of(site, corpus, tmp_path, [])
    assert without_times(executor.run(trials)) == trained_here(trials, corpus)
    executor.close()
    assert {"continued_from_tokens": KILLED_AT * BATCH} in rows(tmp_path, trials[0])
    assert sorted(number for trial in trials for number in attempts(tmp_path, trial)) == [1, 2, 3, 4]
    assert all(read_log(tmp_path / "trials" / f"{trial.id}.jsonl") is not None for trial in trials)
    assert max(_at_once(letters)) <= 2


def _at_once(letters: Sequence[int]) -> Iterator[int]:
    """How many attempts had begun and not ended at each letter, of which an attempt sends the last before it ends."""
    for place in range(len(letters)):
        yield len(set(letters[: place + 1]) & set(letters[place:]))


def test_a_task_that_waits_for_an_answer_keeps_its_core(cluster: TwoMachines, site: Site) -> None:
    """Both cores wait. A third task must not begin, though Ray has had time to start others that need no core."""
    gate: Any = ray.remote(Gate).options(num_cpus=0, max_concurrency=8).remote()
    waiting = [ray.remote(wait_at).options(num_cpus=1).remote(gate) for _ in range(2)]
    ray.get(gate.arrived.remote(2))
    third = ray.remote(begin).options(num_cpus=1).remote(gate)
    for machine in ray.nodes():
        if machine["Alive"]:
            there = NodeAffinitySchedulingStrategy(machine["NodeID"], soft=False)
            ray.get(ray.remote(max_calls=1)(node).options(num_cpus=0, scheduling_strategy=there).remote())
    assert ray.get(gate.num_others.remote()) == 0
    ray.get(gate.open.remote())
    ray.get([*waiting, third])
    assert ray.get(gate.num_others.remote()) == 1


def test_training_is_told_to_end_when_the_coordinator_is(
    site: Site, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int] = []

    def interrupt(attempt: Attempt, letter: Letter) -> None:
        if letter.rows and not pids:
            pids.append(letter.pid)
            raise KeyboardInterrupt

    when(monkeypatch, interrupt)
    trials = [tiny_trial(seed=seed, horizons=(ENDLESS,)) for seed in range(3)]
    with pytest.raises(KeyboardInterrupt):
        list(executor_of(site, corpus, tmp_path, []).run(trials))
    assert not [log for log in (tmp_path / "trials").iterdir() if '"fault"' in log.read_text()]
    again = executor_of(site, corpus, tmp_path, [])  # there is room, and numbers go on
    [(_, found)] = again.run([tiny_trial()])
    again.close()
    assert not isinstance(found, Fault) and attempts(tmp_path, tiny_trial())[0] > len(trials)


def test_a_frozen_process_is_killed_and_its_trial_tried_again(
    site: Site, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The silence is not waited for: the first attempt counts as silent as soon as it has been heard of."""
    heard: list[Letter] = []
    when(monkeypatch, lambda attempt, letter: heard.append(letter))

    def silent(attempt: Attempt, seconds: float, allowed: float) -> list[Letter]:
        return [letter for letter in heard if letter.attempt == attempt.number == 1]

    monkeypatch.setattr(Attempt, "silent", silent)
    monkeypatch.setattr(attempt_module, "_train_trial", ray.remote(max_retries=0)(freeze_first))
    trial, said = tiny_trial(), list[str]()
    executor = executor_of(site, corpus, tmp_path, said)
    assert without_times(executor.run([trial])) == trained_here([trial], corpus)
    executor.close()
    message = "attempt 1 on 127.0.0.1 gave no sign of life for 900 s"
    assert said == [f"trial {trial.id}: {message}; it is tried again"]
    with suppress(psutil.NoSuchProcess):
        psutil.Process(heard[0].pid).wait(timeout=60)


def test_a_lost_machine_costs_at_most_the_trial_that_ran_there(
    cluster: TwoMachines, site: Site, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there: dict[str, set[str]] = {}
    lost: list[str] = []

    def lose(attempt: Attempt, letter: Letter) -> None:
        there.setdefault(letter.node_id, set()).add(attempt.trial.id)
        if len(there) == 2 and not lost:
            lost.append(cluster.remove())

    when(monkeypatch, lose)
    trials = [tiny_trial(seed=seed, horizons=(200 * BATCH,)) for seed in range(3)]
    said: list[str] = []
    executor = executor_of(site, corpus, tmp_path, said)
    found = without_times(executor.run(trials))
    executor.close()
    cluster.add()
    assert found == trained_here(trials, corpus)
    again = {trial.id for trial in trials if len(attempts(tmp_path, trial)) > 1}
    assert again <= there[lost[0]] and len(again) <= 1
    assert said == [f"trial {key}: its machine was lost; it is tried again" for key in again]


def test_a_fault_is_tried_once_more_and_then_reported(site: Site, corpus: Corpus, tmp_path: Path) -> None:
    said: list[str] = []
    executor = executor_of(site, corpus, tmp_path, said, documents=10**6)
    trial = tiny_trial()
    [(_, fault)] = executor.run([trial])
    executor.close()
    assert isinstance(fault, Fault) and fault.message.startswith("InputError: corpus: the validation text has")
    assert attempts(tmp_path, trial) == [1, 2] and len(said) == 1
    assert (tmp_path / "logs" / "cluster.log").read_text().count("Traceback") == 2


def test_ranks_on_two_machines_train_one_trial_and_nothing_listens_beyond_loopback(
    site: Site, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes: dict[int, str] = {}
    listening: set[str] = set()

    def look(attempt: Attempt, letter: Letter) -> None:
        nodes[letter.rank] = letter.node_id
        if letter.rows:  # the ranks have met
            listening.update(_listening())

    when(monkeypatch, look)
    plain = tiny_trial(lr=0.003)
    trial = tiny_trial(lr=0.003, training=TrainingSettings(devices=2, zero_stage=1))
    executor = executor_of(site, corpus, tmp_path, [])
    [(_, found)] = executor.run([trial])
    executor.close()
    assert not isinstance(found, Fault), found
    assert len(set(nodes.values())) == 2 and found[0].training == {"devices": 2, "zero_stage": 1}
    here = train(plain, corpus, log=no_log)
    assert [m.loss for m in found] == pytest.approx([m.loss for m in here], rel=1e-5)
    assert listening and all(ipaddress.ip_address(host).is_loopback for host in listening), listening


def _listening() -> Iterator[str]:
    """The addresses on which this process and all that it started listen."""
    own = psutil.Process()
    for process in (own, *own.children(recursive=True)):
        with suppress(psutil.Error):
            for socket in process.net_connections(kind="inet"):
                if socket.status == psutil.CONN_LISTEN:
                    yield str(socket.laddr.ip).removeprefix("::ffff:")
