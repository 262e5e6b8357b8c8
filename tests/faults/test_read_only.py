"""A folder that cannot be written to is read all the same; its report goes elsewhere, or is refused before the work."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lrladder.benchmark.cli import main
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.lab.stored_trials import read_trials
from lrladder.benchmark.lab.trial_log import TrialLog
from lrladder.benchmark.studies.regret.config import load_config
from lrladder.reports.regret import page as loaded  # what a command imports while it may not write
from tests.benchmark.lab.fake_runner import fake_measurements
from tests.benchmark.trials import tiny_trial
from tests.faults.refusals import Refusals
from tests.reports.synthetic import build_results

NOBODY = 65534
TRIALS = [tiny_trial(seed=seed) for seed in range(3)]
WANTED = sorted(((t, fake_measurements(t)) for t in TRIALS), key=lambda one: one[0].id)
assert loaded


@pytest.fixture
def folder() -> Iterator[Path]:
    """Below the machine's temporary folder, into which nobody may look, unlike pytest's."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        study = Path(name) / "study"
        study.mkdir()
        yield study
        for path in (study, *study.rglob("*")):
            path.chmod(0o777)


@pytest.fixture
def nobody() -> Iterator[None]:
    """Root, who can write anywhere, is somebody else meanwhile. Asked for after what writes."""
    yield
    if os.getuid() == 0:
        os.seteuid(0)


def _lock(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)
    if os.getuid() == 0:
        os.seteuid(NOBODY)
    with pytest.raises(PermissionError):
        (folder / "x").touch()


@pytest.mark.parametrize("logs", [True, False])
def test_trials_are_read_from_logs_or_store(logs: bool, folder: Path, nobody: None) -> None:
    store = Store.open(folder, config_digest="c", corpus_digest="d")
    for trial in TRIALS:
        store.put(trial, fake_measurements(trial))
        if logs:
            TrialLog(folder, trial).finish(fake_measurements(trial))
    store.close()
    _lock(folder)
    assert read_trials(folder) == WANTED


def test_a_report_is_refused_before_the_work_and_goes_elsewhere(
    folder: Path, nobody: None, refused: Refusals, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "results.json").write_text(build_results().to_json())
    _lock(folder)
    assert "--out FOLDER writes the report elsewhere" in refused("report", str(folder))
    out = folder.parent / "elsewhere"
    monkeypatch.setattr("sys.argv", ["lrladder", "report", str(folder), "--out", str(out)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert "<title>LR Ladder" in (out / "index.html").read_text()


@pytest.mark.parametrize("command", [("recommend", "--rung", "t96x3"), ("status",)])
def test_what_only_reads_reads(
    command: tuple[str, ...], folder: Path, nobody: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "results.json").write_text(build_results(config=load_config("smoke").model_dump(mode="json")).to_json())
    (folder / "config.yaml").write_text(yaml.safe_dump(load_config("smoke").model_dump(mode="json")))
    _lock(folder)
    monkeypatch.setattr("sys.argv", ["lrladder", command[0], str(folder), *command[1:]])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == (0 if command[0] == "status" else 2)  # the study has no such rung: it was read
