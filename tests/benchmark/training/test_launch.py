"""Ranks that die, freeze or are told to end take the whole trial with them, and it continues from its checkpoint."""

import os
import signal
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lrladder.benchmark.config.parts import CorpusConfig
from lrladder.benchmark.config.training import TrainingSettings
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.training import launch, members
from lrladder.benchmark.training.corpus import Corpus, prepare
from lrladder.benchmark.training.launch import Job, train_on_ranks
from lrladder.benchmark.training.members import Member, RankLost, watch
from lrladder.benchmark.training.train import train
from lrladder.benchmark.training.weights import kept
from tests.benchmark.training.rank_cases import KILLED_AT, killed
from tests.benchmark.trials import BATCH, no_log, tiny_corpus, tiny_trial
from tests.models.shapes import moe_shape

ENDLESS = 400 * BATCH  # tokens; so long that no rank can end before it is killed


class Ranks:
    """The processes of a launch, which a log row of the first rank leads to a signal."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pids: dict[int, int] = {}
        real: Callable[..., Any] = launch._start

        def start(*args: Any) -> Any:
            processes = real(*args)
            self.pids = processes.pids()
            return processes

        monkeypatch.setattr(launch, "_start", start)

    def send(self, number: signal.Signals, rank: int) -> Callable[[dict[str, object]], None]:
        return lambda row: os.kill(self.pids[rank], number)

    def are_gone(self) -> bool:
        def is_gone(process: int) -> bool:
            try:
                os.kill(process, 0)
            except ProcessLookupError:
                return True
            return False

        return bool(self.pids) and all(map(is_gone, self.pids.values()))


@pytest.fixture
def ranks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ranks]:
    """A launch leaves the worker's answer to SIGTERM as it is; else a run could not be saved."""
    before = signal.getsignal(signal.SIGTERM)
    yield Ranks(monkeypatch)
    assert signal.getsignal(signal.SIGTERM) is before


def _job(folder: Path, trial: Trial, corpus: Corpus) -> Job:
    return Job(
        trial,
        corpus.verified,
        trial.val_documents,
        folder / "trunks",
        keep=False,
        weights=folder / "weights",
        micro_batch=1,
        compile_cache=None,
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Tokens in a folder, as ranks open them."""
    folder = tmp_path_factory.mktemp("corpus")
    tokens = np.asarray(tiny_corpus(folder, tokens=60_000).train)
    for name, part in (("train", tokens[5_000:]), ("val", tokens[:5_000])):
        part.tofile(folder / f"{name}.bin")
    files = {f"{name}_tokens": (str(folder / f"{name}.bin"),) for name in ("train", "val")}
    config = CorpusConfig.model_validate({**files, "vocab_size": 300, "val_documents": 4})
    return prepare(config, seq_len=moe_shape().seq_len, cache=folder / "cache")


def _trial(horizon: int, stage: int = 1) -> Trial:
    return tiny_trial(lr=0.003, horizons=(horizon,), training=TrainingSettings(devices=2, zero_stage=stage))


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (signal.SIGKILL, "rank . of 2 (died|failed|gave no sign of life)"),
        (signal.SIGSTOP, "rank 1 of 2 gave no sign of life"),
    ],
    ids=["killed", "frozen"],
)
def test_a_rank_that_is_lost_ends_the_trial_with_all_its_processes(
    number: signal.Signals, message: str, ranks: Ranks, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "SILENT_SECONDS", 8.0)  # four signs of life; a user's trial waits for ten
    with pytest.raises(RankLost, match=message):
        train_on_ranks(_job(tmp_path, _trial(ENDLESS), corpus), log=ranks.send(number, 1))
    assert ranks.are_gone()


def assert_same_weights(folder: Path, trial: Trial, plain: Trial) -> None:
    """The weights that several ranks kept are those of one device, but for rounding."""
    whole = kept(folder / "weights", trial, 40 * BATCH, say=pytest.fail)
    expected = kept(folder / "alone", plain, 40 * BATCH, say=pytest.fail)
    assert whole is not None and expected is not None and whole.keys() == expected.keys()
    for name, weight in whole.items():
        torch.testing.assert_close(weight, expected[name], rtol=1e-3, atol=1e-5)


def test_spread_experts_are_kept_whole(ranks: Ranks, corpus: Corpus, tmp_path: Path) -> None:
    spread = TrainingSettings(devices=2, expert_parallel=2, zero_stage=2)
    plain = tiny_trial(lr=0.003, horizons=(40 * BATCH,))
    trial = plain.model_copy(update={"training": spread})
    train_on_ranks(_job(tmp_path, trial, corpus), log=no_log)
    train(plain, corpus, log=no_log, weights=tmp_path / "alone")
    assert_same_weights(tmp_path, trial, plain)


def test_a_trial_goes_on_from_a_checkpoint_of_one_device(ranks: Ranks, corpus: Corpus, tmp_path: Path) -> None:
    """At ZeRO 3, with small parameters on every rank. The loss is that of one device without ZeRO."""
    trial, plain = _trial(40 * BATCH, stage=3), tiny_trial(lr=0.003, horizons=(40 * BATCH,))
    rows: list[dict[str, object]] = []
    (tmp_path / "trunks").mkdir()
    killed(plain, tmp_path / "trunks", corpus=corpus)
    (measured,) = train_on_ranks(_job(tmp_path, trial, corpus), log=rows.append)
    assert {"continued_from_tokens": KILLED_AT * BATCH} in rows and ranks.are_gone()
    assert measured.training == {"devices": 2, "zero_stage": 3, "micro_batch": 1}
    alone = train(plain, corpus, log=no_log, weights=tmp_path / "alone")[0]
    assert measured.loss == pytest.approx(alone.loss, rel=1e-5)
    assert_same_weights(tmp_path, trial, plain)


def test_ranks_are_told_to_end_and_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ranks that answer SIGTERM by leaving; one of them has sent a row before."""
    ours, theirs = zip(*(Pipe() for _ in range(2)), strict=True)
    told: list[tuple[int, int]] = []

    def leave(process: int, number: int) -> None:
        told.append((process, number))
        theirs[process].send(("left", None))

    monkeypatch.setattr(os, "kill", leave)
    theirs[0].send(("row", {"step": 0}))
    rows: list[dict[str, object]] = []
    processes = SimpleNamespace(pids=lambda: {0: 0, 1: 1})
    told_ranks = [Member(f"rank {rank} of 2", pipe) for rank, pipe in enumerate(ours)]
    with pytest.raises(SystemExit):
        watch(told_ranks, rows.append, lambda: bool(rows), lambda: launch._tell_to_end(processes))
    assert rows == [{"step": 0}] and told == [(0, signal.SIGTERM), (1, signal.SIGTERM)]
