"""Weights that are kept are those that were validated: a model that is given them has the measured loss."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from lrladder.benchmark.config.executor import RayConfig
from lrladder.benchmark.config.text import parse_yaml, read_preset, validate
from lrladder.benchmark.config.training import TrainingConfig
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.studies.kinds import load_study, plan_of
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.session import open_session
from lrladder.benchmark.training import corpus as training_corpus
from lrladder.benchmark.training import weights
from lrladder.benchmark.training.corpus import Corpus
from lrladder.benchmark.training.metrics import validate as validation
from lrladder.benchmark.training.train import train
from lrladder.benchmark.training.weights import are_kept, kept
from lrladder.benchmark.training.worker import WorkerSetup, job_of, start_worker
from lrladder.models.parametrization import build
from tests.benchmark.trials import BATCH, CHANGES, no_log, tiny_corpus, tiny_trial, wide_shape


def loss_with(found: dict[str, torch.Tensor], trial: Trial, corpus: Corpus) -> float:
    """The validation loss of our model with these weights and the multipliers of the trial."""
    dtype = torch.bfloat16 if trial.precision == "bf16" else torch.float32
    asked = {"backend": trial.expert_backend, "embedding_std": trial.optimizer.embedding_std, "seed": 5}
    model, _ = build(trial.rules, trial.shape, trial.base.shape, dtype=dtype, **asked)
    model.load_state_dict(found)
    return validation(model.eval(), corpus.val_windows).loss


@pytest.mark.parametrize("name", CHANGES)
def test_every_horizon_keeps_what_was_validated(name: str, tmp_path: Path) -> None:
    trial = tiny_trial(**CHANGES[name])
    corpus = tiny_corpus(tmp_path, trial.shape)
    measured = train(trial, corpus, log=no_log, weights=tmp_path / "weights")
    for one in measured:
        found = kept(tmp_path / "weights", trial, one.horizon, say=pytest.fail)
        assert found is not None
        assert loss_with(found, trial, corpus) == pytest.approx(one.loss, rel=1e-6)


def test_a_longer_trial_finds_the_weights_of_the_shorter_one_on_its_trunk(tmp_path: Path) -> None:
    short, long = tiny_trial(horizons=(10 * BATCH,)), tiny_trial(horizons=(10 * BATCH, 30 * BATCH))
    corpus, folder = tiny_corpus(tmp_path), tmp_path / "weights"
    train(short, corpus, log=no_log, trunks=tmp_path, keep=True, weights=folder)
    before = sorted(path.read_bytes() for path in folder.iterdir())
    train(long, corpus, log=no_log, trunks=tmp_path, keep=True, weights=folder)
    assert all(are_kept(folder, long, horizon) for horizon in long.horizons)
    assert set(before) < {path.read_bytes() for path in folder.iterdir()}


def test_a_trial_that_diverges_keeps_nothing(tmp_path: Path) -> None:
    trial = tiny_trial(lr=1e4)
    found = train(trial, tiny_corpus(tmp_path), log=no_log, weights=tmp_path / "weights")
    assert {one.verdict for one in found} == {"diverged"}
    assert not (tmp_path / "weights").exists()


def test_a_full_disk_is_noted_and_the_trial_ends_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("no space")

    rows: list[dict[str, object]] = []
    corpus, trial = tiny_corpus(tmp_path), tiny_trial()
    expected = train(trial, corpus, log=no_log)
    monkeypatch.setattr(weights.torch, "save", full)
    found = train(trial, corpus, log=rows.append, weights=tmp_path / "weights")
    assert [one.loss for one in found] == [one.loss for one in expected]
    assert any("could not be written, so none can be exported" in str(row.get("note")) for row in rows)
    assert not are_kept(tmp_path / "weights", trial, 10 * BATCH)
    assert not any(name.endswith(".pt") for name in os.listdir(tmp_path / "weights"))


def asked(**training: object) -> RegretConfig:
    data = parse_yaml(read_preset("smoke"), source="smoke")
    return validate(RegretConfig, {**data, "training": training}, source="test")


def test_the_key_changes_no_digest_no_trial_and_no_default_text() -> None:
    config, plain = asked(keep_weights="targets"), load_study("smoke")
    assert config.digest == plain.digest
    assert all(config.training_of(rung) == plain.training_of(rung) for rung in config.rungs)
    assert "keep_weights" not in TrainingConfig().model_dump()
    assert config.training.model_dump()["keep_weights"] == "targets"


def test_the_plan_counts_four_bytes_for_each_parameter_of_a_target() -> None:
    with_weights, plain = (plan_of(config, workers=1) for config in (asked(keep_weights="targets"), asked()))
    shapes = {rung.name: rung.shape for rung in asked().rungs.targets}
    for one, other in zip(with_weights.trials, plain.trials, strict=True):
        shape = shapes.get(one.rung)
        size = 4 * (shape.n_total + shape.n_embedding) * len(one.horizons) if shape else 0
        assert one.kept_bytes - other.kept_bytes == size
    assert with_weights.disk_bytes > plain.disk_bytes


def test_a_worker_keeps_the_weights_of_targets_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restored_signals: None
) -> None:
    del restored_signals
    target, corpus = tiny_trial(horizons=(10 * BATCH,)), tiny_corpus(tmp_path)
    proxy = tiny_trial(horizons=(10 * BATCH,), shape=wide_shape())
    monkeypatch.setattr(training_corpus, "load", lambda *_: corpus)
    setup = WorkerSetup(corpus.verified, 16, 4, tmp_path / "trunks", frozenset({target.shape}), tmp_path / "weights")
    run = start_worker(setup)
    for trial in (target, proxy):
        run(trial, no_log)
        assert are_kept(tmp_path / "weights", trial, 10 * BATCH) == (trial is target)
    assert job_of(setup, target, "cpu", room_bytes=None).weights == tmp_path / "weights"
    assert job_of(setup, proxy, "cpu", room_bytes=None).weights is None


@pytest.fixture
def restored_signals() -> Iterator[None]:
    before, threads = signal.getsignal(signal.SIGTERM), torch.get_num_threads()
    yield
    signal.signal(signal.SIGTERM, before)
    torch.set_num_threads(threads)


def test_machines_that_need_not_see_the_folder_of_the_study_keep_no_weights(tmp_path: Path) -> None:
    config = asked(keep_weights="targets").model_copy(update={"executor": RayConfig(checkpoints="s3://bucket")})
    with (
        pytest.raises(InputError, match=r"training.keep_weights: .* leave out executor.checkpoints"),
        open_session(config, tmp_path / "out", workers=1),
    ):
        pass
    assert not (tmp_path / "out").exists()


def test_a_study_that_trains_no_target_refuses_to_keep_weights() -> None:
    data = parse_yaml(read_preset("axes"), source="axes")
    with pytest.raises(InputError, match=r"training.keep_weights: this study trains no target here"):
        validate(type(load_study("axes")), {**data, "training": {"keep_weights": "targets"}}, source="test")
