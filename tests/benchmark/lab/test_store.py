"""The store keeps results, refuses another study, and can be rebuilt from its logs."""

import hashlib
import multiprocessing
import sqlite3
from pathlib import Path

import pytest
from pydantic import ValidationError

from lrladder.benchmark.config.parts import OptimizerConfig
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.lock import lock
from lrladder.benchmark.lab.measurement import Label, TrialMeasurement
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.lab.trial_log import TrialLog, read_log
from lrladder.models.rules import STANDARD
from tests.benchmark.lab.fake_runner import fake_measurements
from tests.benchmark.trials import tiny_trial


def _open(folder: Path, config: str = "c", corpus: str = "d") -> Store:
    return Store.open(folder, config_digest=config, corpus_digest=corpus)


def test_what_is_put_is_found_after_reopening(tmp_path: Path) -> None:
    trial = tiny_trial()
    store = _open(tmp_path)
    assert store.get(trial) is None
    store.put(trial, fake_measurements(trial))
    store.close()
    assert _open(tmp_path).get(trial) == fake_measurements(trial)


def test_all_gives_every_stored_trial(tmp_path: Path) -> None:
    trials, store = [tiny_trial(seed=seed) for seed in range(3)], _open(tmp_path)
    for trial in trials:
        store.put(trial, fake_measurements(trial))
    assert {trial.id: found for trial, found in store.all()} == {t.id: fake_measurements(t) for t in trials}


def test_a_trial_of_an_older_version_is_read_under_the_id_that_it_had(tmp_path: Path) -> None:
    trial, store = tiny_trial(), _open(tmp_path)
    with store._db:
        spec = trial.model_dump_json(exclude={"recipe"})
        old = hashlib.sha256(spec.encode()).hexdigest()[:16]
        store._db.execute("INSERT INTO trials VALUES (?, ?)", (old, spec))
        for m in fake_measurements(trial):
            store._db.execute("INSERT INTO measurements VALUES (?, ?, ?)", (old, m.horizon, m.model_dump_json()))
    assert store.all() == [(trial, fake_measurements(trial))]
    assert store.get(trial) is None  # it is not taken for one of this version


def test_a_stored_result_is_never_replaced(tmp_path: Path) -> None:
    trial, store = tiny_trial(), _open(tmp_path)
    store.put(trial, fake_measurements(trial))
    store.put(trial, [m.model_copy(update={"loss": 0.0}) for m in fake_measurements(trial)])
    assert store.get(trial) == fake_measurements(trial)


def test_ctrl_c_while_a_result_is_stored_stays_ctrl_c_and_leaves_nothing_half_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pydantic takes what its serializers raise for an error of its own."""

    def interrupted(self: OptimizerConfig) -> None:
        raise KeyboardInterrupt

    trial, store = tiny_trial(), _open(tmp_path)
    measured = fake_measurements(trial)  # with the id, which is kept
    with monkeypatch.context() as patch:
        patch.setattr(OptimizerConfig, "model_dump", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.put(trial, measured)
    assert store.get(trial) is None
    store.put(trial, measured)
    assert store.get(trial) == measured


def test_divergence_is_a_stored_result(tmp_path: Path) -> None:
    trial, store = tiny_trial(lr=2.0), _open(tmp_path)
    store.put(trial, fake_measurements(trial))
    found = store.get(trial)
    assert found is not None and {m.verdict for m in found} == {"diverged"}


def test_partly_read_trial_is_trained_again(tmp_path: Path) -> None:
    trial, store = tiny_trial(), _open(tmp_path)
    store.put(trial, fake_measurements(trial)[:1])
    assert store.get(trial) is None


@pytest.mark.parametrize(("config", "corpus", "key"), [("other", "d", "config"), ("c", "other", "corpus")])
def test_another_study_is_refused_and_changes_nothing(tmp_path: Path, config: str, corpus: str, key: str) -> None:
    trial, store = tiny_trial(), _open(tmp_path)
    store.put(trial, fake_measurements(trial))
    with pytest.raises(InputError, match=f"another {key}.*choose another OUT"):
        _open(tmp_path, config, corpus)
    assert _open(tmp_path).get(trial) == fake_measurements(trial)


@pytest.mark.parametrize("content", [b"not a database, but long enough to have a header of its own" * 20, b"SQLite"])
def test_corrupt_store_is_one_line_and_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "store.sqlite").write_bytes(content)
    with pytest.raises(InputError, match="move it aside"):
        _open(tmp_path)
    assert (tmp_path / "store.sqlite").read_bytes() == content


def test_lost_database_is_rebuilt_from_complete_logs(tmp_path: Path) -> None:
    complete, torn = tiny_trial(seed=1), tiny_trial(seed=2)
    for trial in (complete, torn):
        log = TrialLog(tmp_path, trial)
        log.write({"step": 0, "loss": 1.0})
        if trial is complete:
            log.finish(fake_measurements(trial))
    with (tmp_path / "trials" / f"{torn.id}.jsonl").open("a") as file:
        file.write('{"measurements": [{"trial_id"')
    store = _open(tmp_path)
    assert store.get(complete) == fake_measurements(complete)
    assert store.get(torn) is None
    assert read_log(tmp_path / "trials" / f"{torn.id}.jsonl") is None


def test_trial_id_changes_with_every_field_that_can_change_its_numbers() -> None:
    changes: list[dict[str, object]] = [
        {"seed": 1}, {"lr": 0.02}, {"horizons": (640,)}, {"rules": STANDARD}, {"corpus_digest": "x"},
        {"precision": "bf16"}, {"batch_tokens": 128}, {"val_documents": 5}, {"expert_backend": "reference"},
    ]  # fmt: skip
    ids = {tiny_trial(**change).id for change in changes} | {tiny_trial().id}
    assert len(ids) == len(changes) + 1
    assert tiny_trial().id == tiny_trial().id


def _hold(folder: Path, ready: "multiprocessing.connection.Connection") -> None:
    with lock(folder):
        ready.send("held")
        ready.recv()


def test_second_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    holder = context.Process(target=_hold, args=(tmp_path, theirs))
    holder.start()
    assert ours.recv() == "held"
    with pytest.raises(InputError, match=f"in use by another lrladder process \\(pid {holder.pid}\\)"), lock(tmp_path):
        pass
    ours.send("done")
    holder.join()
    with lock(tmp_path):  # free again
        assert (tmp_path / ".lock").exists()


def test_a_store_with_blank_labels_is_read(tmp_path: Path) -> None:
    """Earlier versions kept measurements with two empty strings in place of a label."""
    trial = tiny_trial()
    store = _open(tmp_path)
    store.put(trial, fake_measurements(trial))
    blank = "json_set(data, '$.rung', '', '$.parametrization', '')"
    with sqlite3.connect(tmp_path / "store.sqlite") as db:
        db.execute(f"UPDATE measurements SET data = {blank}")
        db.execute("DROP TABLE digests")  # which those versions did not have
    assert _open(tmp_path).get(trial) == fake_measurements(trial)


def test_a_label_adds_its_two_names_and_changes_nothing() -> None:
    measured = fake_measurements(tiny_trial())[0]
    labelled = measured.labelled(Label("small", "mup"))
    assert labelled.model_dump() == measured.model_dump() | {"rung": "small", "parametrization": "mup"}
    with pytest.raises(ValidationError):
        TrialMeasurement.model_validate(labelled.model_dump())
