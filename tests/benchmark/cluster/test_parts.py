"""Parts of the cluster that need no cluster: letters, the arrival of the corpus, addresses, and numbers of attempts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install -c constraints.txt -e '.[cluster]'")

from lrladder.benchmark.cluster import connection, survey
from lrladder.benchmark.cluster.arrival import CHUNK, CorpusFiles, here
from lrladder.benchmark.cluster.attempt import Attempt
from lrladder.benchmark.cluster.mailbox import Letter, Mailbox
from lrladder.benchmark.cluster.task import Assignment
from lrladder.benchmark.config.executor import RayConfig
from lrladder.benchmark.config.parts import CorpusConfig
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.lab.trial_log import TrialLog
from lrladder.benchmark.training.corpus import Corpus, load, prepare
from lrladder.benchmark.training.entry import Verified
from lrladder.benchmark.training.shared import Sharing
from lrladder.benchmark.training.worker import WorkerSetup
from tests.benchmark.trials import tiny_trial


def _letter(attempt: int, text: str = "") -> Letter:
    return Letter(attempt, 0, "127.0.0.1", "node", 1, 0, rows=({"note": text},))


def test_letters_of_an_attempt_that_was_given_up_are_refused() -> None:
    mailbox = Mailbox()
    mailbox.admit(1)
    assert mailbox.deliver(_letter(1, "first")) == "go"
    mailbox.refuse(1)
    mailbox.admit(2)
    assert mailbox.deliver(_letter(1, "of a machine that came back")) == "stale"
    assert mailbox.deliver(_letter(2, "second")) == "go"
    assert [letter.rows[0]["note"] for letter in mailbox.take()] == ["first", "second"] and mailbox.take() == []
    mailbox.stop()
    assert mailbox.deliver(_letter(2)) == "stop"


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    rng = np.random.default_rng(0)
    for part, count in (("train", CHUNK // 2 + 7_000), ("val", 3_000)):  # more than one chunk
        rng.integers(0, 64, count).astype("<u2").tofile(tmp_path / f"{part}.bin")
    files = {f"{part}_tokens": (str(tmp_path / f"{part}.bin"),) for part in ("train", "val")}
    config = CorpusConfig.model_validate({**files, "vocab_size": 300, "val_documents": 4})
    return prepare(config, seq_len=16, cache=tmp_path / "cache")


def _arrive(corpus: Corpus, cache: Path) -> tuple[Verified, list[str]]:
    """The corpus on a machine that does not see the coordinator's files, and the parts that were sent."""
    files, asked = CorpusFiles(corpus.verified), []

    def read(part: str, offset: int) -> bytes:
        asked.append(part)
        return files.read(part, offset)

    elsewhere = corpus.verified._replace(entry=cache / "nowhere")
    return here(elsewhere, cache, files.manifest, read), asked


def test_a_corpus_is_sent_once_and_has_the_same_batches(corpus: Corpus, tmp_path: Path) -> None:
    found, asked = _arrive(corpus, tmp_path / "node")
    assert asked.count("train") == 3 and asked.count("val") == 2  # the last answer is empty
    there = load(found, 16, 4)
    assert there.digest == corpus.digest and np.array_equal(there.val_windows, corpus.val_windows)
    batch: dict[str, Any] = {"step": 3, "batch_tokens": 64, "seq_len": 16, "seed": 5}
    assert np.array_equal(there.batch(**batch), corpus.batch(**batch))
    assert _arrive(corpus, tmp_path / "node") == (found, [])


def test_a_shared_folder_and_the_own_cache_come_before_sending(corpus: Corpus, tmp_path: Path) -> None:
    def never(*arguments: object) -> Any:
        raise AssertionError("it was sent")

    assert here(corpus.verified, tmp_path / "node", never, never) == corpus.verified
    elsewhere = corpus.verified._replace(entry=tmp_path / "other" / corpus.verified.entry.name)
    assert here(elsewhere, tmp_path / "cache", never, never).entry == corpus.verified.entry


def test_tokens_that_did_not_arrive_whole_are_refused(corpus: Corpus, tmp_path: Path) -> None:
    files = CorpusFiles(corpus.verified)
    elsewhere = corpus.verified._replace(entry=tmp_path / "nowhere")
    with pytest.raises(InputError, match="did not arrive whole; remove this folder"):
        here(elsewhere, tmp_path / "node", files.manifest, lambda part, offset: bytes(len(files.read(part, offset))))
    assert _arrive(corpus, tmp_path / "node")[1]  # what is damaged is fetched again


def test_numbers_of_attempts_go_on_after_a_restart_and_without_the_store(tmp_path: Path) -> None:
    store = Store.open(tmp_path, config_digest="c", corpus_digest="d")
    numbers = [store.next_attempt() for _ in range(2)]
    TrialLog(tmp_path, tiny_trial()).begin(numbers[-1], "127.0.0.1")
    store.close()
    store = Store.open(tmp_path, config_digest="c", corpus_digest="d")
    numbers.append(store.next_attempt())
    store.close()
    (tmp_path / "store.sqlite").rename(tmp_path / "lost")
    numbers.append(Store.open(tmp_path, config_digest="c", corpus_digest="d").next_attempt())
    assert numbers == [1, 2, 3, 3]  # the third had begun nothing
    log = (tmp_path / "trials" / f"{tiny_trial().id}.jsonl").read_text().splitlines()
    assert json.loads(log[-1]) == {"attempt": 2, "node": "127.0.0.1"}


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("10.1.2.3:6379", r"executor.listen: the Ray cluster at 10\.1\.2\.3 listens on the network.*listen: network"),
        ("ray://127.0.0.1:10001", r"executor.address ray://127.*run it there, and give HOST:PORT or auto"),
        ("here", r"executor.address here: give HOST:PORT, auto or local"),
    ],
)
def test_an_address_that_cannot_serve_is_refused_before_anything_listens(address: str, message: str) -> None:
    with pytest.raises(InputError, match=message), connection.connected(RayConfig(address=address)):
        pass


GIB = 2**30


@pytest.mark.parametrize(
    ("has_gpu", "gpu_bytes", "asked"),
    [
        (False, None, {"num_cpus": 1, "num_gpus": 0}),
        (True, 80 * GIB, {"num_cpus": 0, "num_gpus": 0.25}),  # four share a GPU at most
        (True, 4 * GIB, {"num_cpus": 0, "num_gpus": 0.51}),  # a process alone takes 2 GiB
        (True, 1 * GIB, {"num_cpus": 0, "num_gpus": 1.0}),
    ],
)
def test_a_trial_asks_for_a_core_or_for_the_share_of_a_gpu_that_it_needs(
    has_gpu: bool, gpu_bytes: int | None, asked: dict[str, float], tmp_path: Path
) -> None:
    verified = Verified(tmp_path, "d", ())
    given = Assignment(tiny_trial(), WorkerSetup(verified, 16, 4, tmp_path), Sharing(1), 1, gpu_bytes)
    assert Attempt(given, tmp_path)._resources() == asked


def test_the_machines_of_a_cluster_are_summed_and_its_smallest_gpu_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        survey, "_alive", lambda: [{"Resources": {"CPU": 8.0}}, {"Resources": {"CPU": 4.0, "GPU": 2.0}}]
    )
    plain = survey.Seen("10.0.0.1", "same", (), None, None)
    on_cpus = survey.machines([plain], None)
    assert (on_cpus.workers, on_cpus.devices, on_cpus.gpus, on_cpus.gpu_bytes) == (12, 12, (), None)
    assert on_cpus.no_megablocks is not None and survey.machines([plain], 3).workers == 3
    with_gpus = [survey.Seen(f"10.0.0.{n}", "same", ("H100", "H100"), n * GIB, None) for n in (2, 3)]
    on_gpus = survey.machines([plain, *with_gpus], None)
    assert (on_gpus.workers, on_gpus.devices, on_gpus.gpu_bytes, on_gpus.no_megablocks) == (16, 4, 2 * GIB, None)


def test_a_machine_with_other_code_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "_on_each", lambda look: [survey.Seen("10.0.0.1", "torch 1.0", (), None, None)])
    with pytest.raises(
        InputError, match=r"10\.0\.0\.1 has torch 1\.0, but this machine has torch .*; install the same"
    ):
        survey.survey()
    monkeypatch.setattr(survey, "_on_each", lambda look: [])
    with pytest.raises(InputError, match="no machine of the Ray cluster has cores or GPUs"):
        survey.survey()


def test_a_machine_that_does_not_see_the_checkpoints_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mark").touch()
    monkeypatch.setattr(survey, "_on_each", lambda look: [look("10.0.0.1")])
    survey.require_shared(str(tmp_path), "mark")
    with pytest.raises(InputError, match=r"10\.0\.0\.1 does not see .*all machines share"):
        survey.require_shared(str(tmp_path), "another")
