"""`status` reads the store's summaries, and says where they and the logs differ."""

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from lrladder.benchmark.lab import trial_log
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.resolve import resolve
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.lab.stored_trials import read_summaries
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.trial_log import TrialLog
from lrladder.benchmark.studies import logged
from lrladder.benchmark.studies.regret.config import load_config
from lrladder.benchmark.studies.watcher import Snapshot, Watcher
from lrladder.paradigms.lab import Request
from tests.benchmark.lab.fake_runner import fake_measurements

SMOKE = load_config("smoke")
RUNG = SMOKE.rungs.targets[0]
LRS = (0.005, 0.01, 0.02, 2.0)  # fake trials diverge above 1


def trials(seeds: Sequence[int]) -> list[Trial]:
    asked = [Request(RUNG.name, "sp", lr, seed, RUNG.horizons) for lr in LRS for seed in seeds]
    return [trial for one in asked for trial in resolve(one, SMOKE, corpus_digest="d", precision="fp32")]


def put(folder: Path, made: Sequence[Trial]) -> None:
    store = Store.open(folder, config_digest=SMOKE.digest, corpus_digest="d")
    for trial in made:
        store.put(trial, fake_measurements(trial))
    store.close()


def log(folder: Path, made: Sequence[Trial]) -> None:
    for trial in made:
        TrialLog(folder, trial).finish(fake_measurements(trial))


def look(folder: Path) -> Snapshot:
    return Watcher(folder).look()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A study that nobody runs, with eight trials in its logs and its store."""
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(SMOKE.model_dump(mode="json")))
    log(tmp_path, trials((0, 1)))
    put(tmp_path, trials((0, 1)))
    return tmp_path


def without_differences(now: Snapshot) -> Snapshot:
    return now._replace(differences=(), ended=False)


def test_the_store_and_the_logs_say_the_same(folder: Path) -> None:
    by_store = look(folder)
    assert (by_store.finished, by_store.diverged, by_store.differences) == (6, 2, ())
    assert [(one.lr, one.n_lrs, one.n_seeds) for one in by_store.best] == [(0.01, 3, 2)]
    (folder / "store.sqlite").unlink()
    by_logs = look(folder)
    assert without_differences(by_logs) == without_differences(by_store)
    assert by_logs.differences == (
        "store.sqlite lacks 8 trials whose logs are complete; the next `lrladder run` adds them",
    )


def test_no_log_is_read_of_what_the_store_sums_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def note(path: Path) -> trial_log.LogState | None:
        read.append(path.stem)
        return trial_log.read_state(path)

    monkeypatch.setattr(logged, "read_state", note)
    [late] = trials((2,))[:1]
    log(folder, [late])
    now = look(folder)
    assert read == [late.id] and now.finished == 7
    assert now.differences == ("store.sqlite lacks 1 trial whose logs are complete; the next `lrladder run` adds them",)


def test_trials_whose_logs_are_lost_still_count(folder: Path) -> None:
    for path in sorted((folder / "trials").iterdir())[:3]:
        path.unlink()
    now = look(folder)
    assert (now.finished, now.diverged) == (6, 2)
    assert now.differences == (
        "trials/ lacks the logs of 3 trials in store.sqlite; their measurements are kept in the store",
    )


def test_a_store_that_cannot_be_read_is_said(folder: Path) -> None:
    (folder / "store.sqlite").write_bytes(b"nothing of SQLite's" * 100)
    for name in ("store.sqlite-wal", "store.sqlite-shm"):
        (folder / name).unlink(missing_ok=True)
    now = look(folder)
    assert (now.finished, now.diverged) == (6, 2)
    assert len(now.differences) == 1 and "cannot be read" in now.differences[0]


def test_a_store_of_an_older_version_is_read_from_its_logs_and_summed_up_by_the_next_run(folder: Path) -> None:
    before = look(folder)
    with sqlite3.connect(folder / "store.sqlite") as db:
        db.execute("DROP TABLE summaries")
    db.close()
    assert without_differences(look(folder)) == without_differences(before) and look(folder).differences == ()
    put(folder, ())
    summaries = read_summaries(folder)
    assert summaries is not None and set(summaries.ids) == {t.id for t in trials((0, 1))}


def test_the_head_of_results_says_what_all_of_it_says(folder: Path) -> None:
    """Whether measurements are skipped, or the file is laid out otherwise and read whole."""
    document = {"schema": "lrladder.results/2", "config_digest": SMOKE.digest, "complete": True, "missing": []}
    tail = {"measurements": [{"loss": 1.0}] * 5, "config": SMOKE.model_dump(mode="json"), "corpus": {}}
    path = folder / "results.json"
    path.write_text(json.dumps({**document, "trials": {"trained_now": 7}, **tail}, indent=2))
    by_head = look(folder)
    assert (by_head.complete, by_head.trained_now) == (True, 7)
    path.write_text(json.dumps({**tail, "trials": {"trained_now": 7}, **document}))
    assert look(folder) == by_head


def test_a_summary_whose_trial_is_lost_is_said(folder: Path) -> None:
    first = min(trial.id for trial in trials((0, 1)))
    with sqlite3.connect(folder / "store.sqlite") as db:
        db.execute("DELETE FROM trials WHERE id = ?", (first,))
    db.close()
    now = look(folder)
    assert (now.finished, now.diverged) == (6, 2)
    assert len(now.differences) == 1 and f"trial {first} has a summary, but no specification" in now.differences[0]


def test_a_trial_counts_under_its_worst_verdict_in_the_store_as_in_the_logs(folder: Path) -> None:
    proxy = SMOKE.rungs.proxies[0]
    [mixed] = resolve(Request(proxy.name, "sp", 0.01, 2, proxy.horizons), SMOKE, corpus_digest="d", precision="fp32")
    first, *others = fake_measurements(mixed)
    found = [TrialMeasurement.of(mixed, first.horizon, verdict="diverged"), *others]
    assert {m.verdict for m in found} == {"finished", "diverged"}
    TrialLog(folder, mixed).finish(found)
    by_log = look(folder)
    store = Store.open(folder, config_digest=SMOKE.digest, corpus_digest="d")
    store.put(mixed, found)
    store.close()
    assert (by_log.finished, by_log.diverged) == (6, 3)
    assert without_differences(look(folder)) == without_differences(by_log)
