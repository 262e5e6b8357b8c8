"""The logs are the truth: whatever happens to store.sqlite, a study has the trials and numbers that its logs have."""

import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.lab.stored_trials import read_trials
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.trial_log import TrialLog, read_state
from tests.benchmark.lab.fake_runner import fake_measurements
from tests.benchmark.trials import tiny_trial

TRIALS = [tiny_trial(seed=seed) for seed in range(5)]
WANTED = sorted(((t, fake_measurements(t)) for t in TRIALS), key=lambda one: one[0].id)


def _open(folder: Path) -> Store:
    return Store.open(folder, config_digest="c", corpus_digest="d")


def _fill(folder: Path, *, logs: bool = True) -> None:
    store = _open(folder)
    for trial in TRIALS:
        if logs:
            TrialLog(folder, trial).finish(fake_measurements(trial))
        store.put(trial, fake_measurements(trial))
    store.close()


def _held(folder: Path) -> list[tuple[Trial, list[TrialMeasurement]]]:
    store = _open(folder)
    found = store.all()
    store.close()
    return found


def _sql(folder: Path, *statements: str) -> None:
    db = sqlite3.connect(folder / "store.sqlite")
    with db:
        for statement in statements:
            db.execute(statement)
    db.close()


def _emptied(folder: Path) -> None:
    (folder / "store.sqlite").write_bytes(b"")


def _absent(folder: Path) -> None:
    (folder / "store.sqlite").unlink()


def _half_rebuilt(folder: Path) -> None:
    _sql(folder, "DELETE FROM measurements WHERE rowid > 4", "DELETE FROM trials WHERE rowid > 2")


def _other_loss(folder: Path) -> None:
    _sql(folder, "UPDATE measurements SET data = replace(data, '\"loss\": ', '\"loss\": 1')")


def _not_text(folder: Path) -> None:
    _sql(folder, "UPDATE measurements SET data = CAST(x'ff80' AS TEXT)")


def _not_json(folder: Path) -> None:
    _sql(folder, "UPDATE measurements SET data = substr(data, 1, 20)", "DELETE FROM digests")


def _other_spec(folder: Path) -> None:
    _sql(folder, "UPDATE trials SET spec = replace(spec, '\"lr\":0.01', '\"lr\":0.02')")


def _number_for_spec(folder: Path) -> None:
    """As a flipped bit in the row's header does."""
    _sql(folder, "ALTER TABLE trials RENAME TO old", "CREATE TABLE trials (id TEXT PRIMARY KEY, spec)")
    _sql(folder, "INSERT INTO trials SELECT id, 7 FROM old", "DROP TABLE old")


def _other_horizon(folder: Path) -> None:
    _sql(folder, "UPDATE measurements SET horizon = horizon + 1")


def _older(folder: Path) -> None:
    _sql(folder, "DROP TABLE digests")


DAMAGES = [
    _emptied,
    _absent,
    _half_rebuilt,
    _other_loss,
    _not_text,
    _not_json,
    _other_spec,
    _number_for_spec,
    _other_horizon,
    _older,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_store_is_mended_from_the_logs(damage: Callable[[Path], None], tmp_path: Path) -> None:
    _fill(tmp_path)
    damage(tmp_path)
    assert read_trials(tmp_path) == WANTED
    assert _held(tmp_path) == WANTED
    store = _open(tmp_path)
    assert store.mended == 0  # the first opening has mended it for good
    store.close()


@pytest.mark.parametrize("damage", [_other_loss, _not_text, _not_json, _other_spec, _number_for_spec, _other_horizon])
def test_a_damaged_row_without_a_log_is_no_number(damage: Callable[[Path], None], tmp_path: Path) -> None:
    _fill(tmp_path, logs=False)
    damage(tmp_path)
    store = _open(tmp_path)
    assert all(store.get(trial) in (None, measurements) for trial, measurements in WANTED)
    for trial, measurements in WANTED:
        store.put(trial, measurements)
    assert store.all() == WANTED
    store.close()


def test_a_schema_that_is_no_text_is_one_line_and_the_logs_are_read(tmp_path: Path) -> None:
    """SQLite repeats the bad byte in its message, which Python cannot decode."""
    _fill(tmp_path)
    path = tmp_path / "store.sqlite"
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE trials", b"CRE\xc1TE TABLE trials"))
    assert read_trials(tmp_path) == WANTED
    with pytest.raises(InputError, match="not a readable store"):
        _open(tmp_path)
    for log in (tmp_path / "trials").iterdir():
        log.unlink()
    with pytest.raises(InputError, match="not a readable store"):
        read_trials(tmp_path)


def test_what_a_lost_wal_took_comes_back(tmp_path: Path) -> None:
    _fill(tmp_path)
    for name in ("store.sqlite-wal", "store.sqlite-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    assert _held(tmp_path) == WANTED


@settings(max_examples=150)
@given(data=st.data())
def test_no_flipped_bit_changes_a_number(data: st.DataObject) -> None:
    """In the store: the trials and numbers of the logs, or one line. In a log: its trial's numbers, or none."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _fill(folder)
        files = ["store.sqlite", *(f"trials/{trial.id}.jsonl" for trial in TRIALS[:1])]
        path = folder / data.draw(st.sampled_from(files))
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, 8 * len(content) - 1))
        content[place // 8] ^= 1 << place % 8
        path.write_bytes(content)
        with suppress(InputError):
            assert read_trials(folder) == WANTED
        with suppress(InputError):
            assert _held(folder) == WANTED


def test_a_flipped_bit_of_a_log_alone(tmp_path: Path) -> None:
    """Every bit of a short log: the measurements as they were, or none of them."""
    trial = TRIALS[0]
    TrialLog(tmp_path, trial).finish(fake_measurements(trial))
    path = tmp_path / "trials" / f"{trial.id}.jsonl"
    content = path.read_bytes()
    for place in range(0, 8 * len(content), 61):  # coprime to 8: all bits of a byte have their turn
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        state = read_state(path)
        if state is not None and state.measurements:
            assert list(state.measurements) == fake_measurements(trial)


def test_a_torn_line_does_not_tear_the_next(tmp_path: Path) -> None:
    trial = TRIALS[0]
    log = TrialLog(tmp_path, trial)
    path = tmp_path / "trials" / f"{trial.id}.jsonl"
    log.write({"step": 1})
    path.write_text(path.read_text()[:40])
    TrialLog(tmp_path, trial).finish(fake_measurements(trial))
    state = read_state(path)
    assert state is not None and list(state.measurements) == fake_measurements(trial)


def test_a_metric_that_is_no_number_is_stored_and_found(tmp_path: Path) -> None:
    trial, store = TRIALS[0], _open(tmp_path)
    odd = [m.model_copy(update={"metrics": {"a": float("nan")}}) for m in fake_measurements(trial)]
    TrialLog(tmp_path, trial).finish(odd)
    store.put(trial, odd)
    store.close()
    again = _open(tmp_path)
    assert again.mended == 0 and again.get(trial) is not None


def test_sqlite_writes_through_to_the_disk(tmp_path: Path) -> None:
    store = _open(tmp_path)
    assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    store.close()
