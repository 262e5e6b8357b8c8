"""Status: what the logs and the lock say, whatever a kill has left, and a live view that ends by itself."""

import io
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from lrladder.benchmark.cli import main
from lrladder.benchmark.commands.status_view import EVERY, state, view, watch
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.resolve import resolve
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.trial_log import TrialLog
from lrladder.benchmark.studies.kinds import load_study, plan_of
from lrladder.benchmark.studies.regret.config import RegretConfig, load_config
from lrladder.benchmark.studies.runner import run_study
from lrladder.benchmark.studies.watcher import Snapshot, Sweep, Watcher, best_lrs
from lrladder.paradigms.lab import Request
from tests.benchmark.lab.fake_runner import fake_measurements

SMOKE = load_config("smoke")
RUNG = SMOKE.rungs.targets[0]


def _trial(lr: float = 0.02, seed: int = 0) -> Trial:
    request = Request(RUNG.name, "sp", lr, seed, RUNG.horizons)
    [trial] = resolve(request, SMOKE, corpus_digest="d", precision="fp32")
    return trial


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A study that this process holds."""
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(SMOKE.model_dump(mode="json")))
    (tmp_path / ".lock").write_text(str(os.getpid()))
    os.utime(tmp_path / ".lock", (1, 1))
    return tmp_path


def _results(folder: Path, **fields: object) -> None:
    known = {"schema": "lrladder.results/2", "complete": True, "missing": [], "config_digest": SMOKE.digest}
    (folder / "results.json").write_text(json.dumps({**known, **fields}))


def _stop(folder: Path) -> None:
    (folder / ".lock").write_text("")


def _shown(now: Snapshot, time_of_day: float = 100.0) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(view(now, time_of_day))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_counts_by_verdict_and_what_runs_with_its_last_logged_step(folder: Path) -> None:
    for trial in (_trial(), _trial(lr=2.0)):
        TrialLog(folder, trial).finish(fake_measurements(trial))
    TrialLog(folder, _trial(seed=1)).fail("planted")
    log = TrialLog(folder, _trial(seed=2))
    for step in (0, 16):
        log.write({"step": step, "tokens": 1024 * step, "lr": 0.1, "loss": 5.5 - step})
    now = Watcher(folder).look()
    assert (now.finished, now.diverged, now.failed, now.planned) == (1, 1, 1, plan_of(SMOKE).planned.runs)
    [running] = now.running
    assert (running.label, running.seed, running.step, running.loss) == (f"{RUNG.name} sp", 2, 16, -10.5)
    text = _shown(now)
    for part in ("running for 1 min 39 s", "1 failed", "-10.5000", "16,384", RUNG.name):
        assert part in text


def test_a_second_attempt_runs_and_a_finished_one_counts(folder: Path) -> None:
    trial = _trial()
    TrialLog(folder, trial).fail("planted")
    log, watcher = TrialLog(folder, trial), Watcher(folder)
    now = watcher.look()
    assert (now.failed, len(now.running), now.running[0].step) == (0, 1, None)
    log.finish(fake_measurements(trial))
    now = watcher.look()
    assert (now.failed, len(now.running), now.finished) == (0, 0, 1)


def test_logs_of_an_earlier_run_are_not_running(folder: Path) -> None:
    TrialLog(folder, _trial())
    [log] = (folder / "trials").iterdir()
    os.utime(log, (0.5, 0.5))
    assert Watcher(folder).look().running == ()
    os.utime(log, (2, 2))
    assert len(Watcher(folder).look().running) == 1
    _stop(folder)
    assert Watcher(folder).look().running == ()


def test_torn_and_foreign_lines_are_passed_over(folder: Path) -> None:
    TrialLog(folder, _trial()).write({"step": 3, "tokens": 5, "loss": 1.0})
    [log] = (folder / "trials").iterdir()
    with log.open("a") as file:
        file.write('7\n[1]\n"measurements"\n{"step"')
    (folder / "trials" / "0000.jsonl").write_text("nothing of ours\n")
    [running] = Watcher(folder).look().running
    assert running.step == 3


def by_lr(runs: Iterable[tuple[float, int, float]]) -> dict[float, dict[int, float]]:
    """Losses by LR and seed."""
    found: dict[float, dict[int, float]] = {}
    for lr, seed, loss in runs:
        found.setdefault(lr, {})[seed] = loss
    return found


def test_best_lr_is_of_equal_seeds_at_the_longest_horizon_in_one_sweep() -> None:
    runs = [(lr, seed, (lr - 2) ** 2 + seed) for lr in (1.0, 2.0, 4.0) for seed in (0, 1)]
    lucky = (8.0, 0, 0.0)  # one seed only
    better = {1.0: {0: -9.0}}
    first, second = {100: by_lr([*runs[:3], lucky]), 50: better}, {100: by_lr(runs[3:])}  # trained with other horizons
    sweeps = [Sweep("p", "sp", None, first), Sweep("p", "sp", "tuned", {100: better}), Sweep("p", "sp", None, second)]
    [best] = best_lrs(sweeps)
    assert (best.lr, best.loss, best.n_lrs, best.n_seeds, best.edge) == (2.0, 0.5, 3, 2, False)
    [half] = best_lrs([Sweep("p", "sp", None, {100: by_lr(run for run in runs if run[0] < 4)})])
    assert half.edge


def test_a_best_lr_of_runs_before_their_decay_is_marked(folder: Path) -> None:
    data = SMOKE.model_dump(mode="json")
    fitting = data["entries"]["fitting"]
    study = RegretConfig.model_validate({**data, "entries": {"a": fitting, "b": {**fitting, "read": "ema"}}})
    (folder / "config.yaml").write_text(yaml.safe_dump(study.model_dump(mode="json")))
    for label in ("sp", "sp+ema"):
        for lr in (0.01, 0.03, 0.09):
            request = Request("p16x1", label, lr, 0, (16384, 32768))
            [trial] = resolve(request, study, corpus_digest="d", precision="fp32")
            TrialLog(folder, trial).finish(fake_measurements(trial))
    now = Watcher(folder).look()
    found = {one.parametrization: one.undecayed for one in now.best if one.rung == "p16x1"}
    assert found["sp"] is False and found["sp+ema"] is True
    assert _shown(now).count("edge, no decay") == 1


def test_complete_only_without_a_run_and_with_results_of_this_config(folder: Path) -> None:
    _results(folder)
    assert not Watcher(folder).look().ended
    _stop(folder)
    now = Watcher(folder).look()
    assert now.complete and now.ended and state(now, 0.0) == "complete"
    _results(folder, config_digest="shorter")
    os.utime(folder / "results.json", (0, 0))
    assert not Watcher(folder).look().complete


def test_partial_results_are_an_end_and_say_what_is_missing(folder: Path) -> None:
    _results(folder, complete=False, missing=["two oracles"])
    _stop(folder)
    now = Watcher(folder).look()
    assert now.ended and not now.complete
    assert "two oracles" in _shown(now)
    (folder / "results.json").unlink()
    killed = Watcher(folder).look()
    assert not killed.ended
    assert "continues the study" in state(killed, 0.0)


def test_before_there_is_a_config_the_corpus_is_prepared(folder: Path) -> None:
    (folder / "config.yaml").unlink()
    now = Watcher(folder).look()
    assert (now.planned, now.finished) == (None, 0)
    assert state(now, 1.0).endswith("preparing the corpus")


def test_folder_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        Watcher(tmp_path)


def test_watch_looks_until_the_study_has_ended(folder: Path) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            _results(folder)
            _stop(folder)

    watch(Watcher(folder), Console(file=io.StringIO()), pause=pause, clock=lambda: 5.0)
    assert pauses == [EVERY] * 3


def test_ctrl_c_ends_the_view_and_nothing_else(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: Watcher) -> Snapshot:
        raise KeyboardInterrupt

    monkeypatch.setattr(Watcher, "look", interrupt)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(sys, "argv", ["lrladder", "status", str(folder), "--watch"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def _command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setattr(sys, "argv", ["lrladder", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code
    return capsys.readouterr().out


def test_status_of_a_simulated_study_for_people_and_for_scripts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = load_study("moe12b")
    assert isinstance(study, RegretConfig)
    run_study(study, tmp_path, workers=1)
    capsys.readouterr()
    found = json.loads(_command(capsys, monkeypatch, "status", str(tmp_path), "--json"))
    assert found["complete"] and found["ended"] and found["missing"] == [] and found["running"] == []
    assert {best["rung"] for best in found["best"]} == {rung.name for rung in study.rungs}
    text = _command(capsys, monkeypatch, "status", str(tmp_path))
    assert f"{found['finished']} finished, 0 diverged, 0 failed" in text and "\ncomplete" in text
