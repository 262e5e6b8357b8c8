"""Folders of an older version: what shows them gives the old numbers, what trains refuses and leaves every byte.

tests/fixtures holds what store version 3 wrote: a `smoke` study (of each log the specification and the measurements, of
these six metrics), what `status` and `recommend` of that version said of it, and results of the other kinds of studies.
"""

import json
import os
import shutil
import sqlite3
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import yaml

from lrladder.benchmark.cli import main
from lrladder.benchmark.lab.older import refuse_older
from lrladder.benchmark.studies.drift.kind import DRIFT
from lrladder.benchmark.studies.regret.config import load_config
from lrladder.benchmark.studies.regret.kind import REGRET
from lrladder.benchmark.studies.schedules.kind import SCHEDULES
from lrladder.benchmark.studies.stored import load_results
from lrladder.paradigms.sweep.curve import MAX_BELOW
from tests.faults.refusals import Refusals
from tests.paths import ROOT

FIXTURES = ROOT / "tests" / "fixtures"
SAID = FIXTURES / "folder_v3_said"
OLD = json.loads((FIXTURES / "folder_v3" / "results.json").read_text())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy whose times say nothing, as those of a checkout."""
    copy = Path(shutil.copytree(FIXTURES / "folder_v3", tmp_path / "old"))
    os.utime(copy / "results.json", (1, 1))
    return copy


@pytest.fixture
def says(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["lrladder", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert not stopped.value.code
        return capsys.readouterr().out

    return run


def everything_in(folder: Path) -> dict[Path, tuple[bytes, int]]:
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_status_says_what_it_said(folder: Path, says: Any) -> None:
    said = json.loads((SAID / "status.json").read_text())
    assert _keeps(json.loads(says("status", folder, "--json")), said | {"differences": []})


@pytest.mark.parametrize("paradigm", ["fitting", "mutransfer", "mutransfer+power"])
def test_recommend_says_what_it_said(paradigm: str, folder: Path, says: Any) -> None:
    answer = json.loads(says("recommend", folder, "--rung", "t48x4", "--entry", paradigm, "--multipliers", "--json"))
    said = json.loads((SAID / f"recommend-{paradigm}.json").read_text())
    assert set(answer["recipe"].pop("lr_ratios").values()) == {1.0}  # then, no role had a ratio of its own
    for one in (answer, said):
        assert "decay" in one["recipe"].pop("schedule")  # in words, which have changed
    assert len(answer.pop("flags")) == len(said.pop("flags"))  # in words too
    low, high = answer.pop("lr_low"), answer.pop("lr_high")
    assert low <= said.pop("lr_low") <= said.pop("lr_high") <= high  # a law's interval holds more than it did
    assert _keeps(answer, said)


def test_results_have_the_old_numbers_under_the_new_names(folder: Path) -> None:
    new = json.loads(load_results(folder, REGRET).to_json())
    for target, old in zip(new["targets"], OLD["targets"], strict=True):
        assert target.pop("conclusion") == old["verdict"]
        assert _keeps(target, {key: value for key, value in old.items() if key != "verdict"})
    for rung, old in zip(new["rungs"], OLD["rungs"], strict=True):
        assert rung.pop("continued") == []
        assert rung == old
    same = ("trials", "seed_noise", "seed_noise_df", "curves", "law", "measurements", "payers", "config_digest")
    assert _keeps({key: new[key] for key in same}, {key: OLD[key] for key in same})


def test_a_folder_without_results_has_the_old_numbers_from_its_store(folder: Path) -> None:
    (folder / "results.json").unlink()
    found = json.loads(load_results(folder, REGRET).to_json())
    measured = {(_place(m), m["lr"], m["seed"]): m["loss"] for m in found["measurements"]}
    assert measured == {(_place(m), m["lr"], m["seed"]): m["loss"] for m in OLD["measurements"]}
    curves = {_place(curve): curve for curve in found["curves"]}
    held = {_place(old) for old in OLD["curves"] if old["minimum"] > (1 - MAX_BELOW) * _lowest(old)}
    for old in OLD["curves"]:
        curve = curves[_place(old)]
        if _place(old) in held:
            assert (curve["lr_best"], curve["minimum"]) == pytest.approx((old["lr_best"], old["minimum"]))
        else:  # a minimum so far below the runs is not used any more
            assert curve["status"] == "bracketed" or curve["minimum"] > max(
                old["minimum"], (1 - MAX_BELOW) * _lowest(old)
            )
    assert len(held) > len(OLD["curves"]) / 2
    assert found["seed_noise"] > 0  # of runs near the best, where it was of all
    for target, old in zip(found["targets"], OLD["targets"], strict=True):
        for name in ("sp", "mup"):
            if (target["rung"], name, target["tokens"]) in held:
                assert target["oracle"][name]["loss"] == pytest.approx(old["oracle"][name]["loss"])


def _lowest(curve: dict[str, Any]) -> float:
    """Mean over seeds of the lowest LR of a curve's cell."""
    losses: dict[float, list[float]] = {}
    for m in OLD["measurements"]:
        if _place(m) == _place(curve):
            losses.setdefault(m["lr"], []).append(m["loss"])
    return min(map(fmean, losses.values()))


def _place(of: dict[str, Any]) -> tuple[object, ...]:
    return of["rung"], of["parametrization"], of["horizon"]


def _keeps(new: Any, old: Any) -> bool:
    """Whether `new` says all that `old` does; it may have more keys. Another processor rounds otherwise."""
    if isinstance(old, dict):
        return all(key in new and _keeps(new[key], value) for key, value in old.items())
    if isinstance(old, list):
        return len(new) == len(old) and all(map(_keeps, new, old))
    return bool(new == (pytest.approx(old, rel=1e-12) if isinstance(old, float) else old))


def test_report_compare_and_index_show_the_old_conclusions(folder: Path, says: Any, tmp_path: Path) -> None:
    page = Path(says("report", folder).strip()).read_text()
    other = shutil.copytree(folder, tmp_path / "other")
    compared = says("compare", folder, other)
    for target in OLD["targets"]:
        assert target["verdict"] in page
        assert compared.count(target["verdict"]) == 2
        for paradigm in target["paradigms"]:
            assert f"{1000 * paradigm['regret']:.1f}".replace("-", "\N{MINUS SIGN}") in compared
    assert "The studies differ in 0 settings" in compared
    for name in ("axes_v1", "power_v1"):
        shutil.copytree(FIXTURES / name, tmp_path / name)
    assert says("index", tmp_path).strip().endswith("lists 4 folders")
    listed = (tmp_path / "index.html").read_text()
    assert "width on holds" in listed and "t48x4 at" in listed


@pytest.mark.parametrize("name", ["axes_v1", "power_v1"])
def test_reports_of_other_kinds_of_studies(name: str, says: Any, tmp_path: Path) -> None:
    copy = shutil.copytree(FIXTURES / name, tmp_path / name)
    page = Path(says("report", copy).strip()).read_text()
    old = json.loads((copy / "results.json").read_text())
    if name == "axes_v1":
        assert all(axis["sentence"] in page for axis in old["axes"])
        new = load_results(copy, DRIFT)
        findings = [variant.finding for axis in new.axes for variant in axis.variants]
        assert findings == [variant["verdict"] for axis in old["axes"] for variant in axis["variants"]]
    else:
        settings = json.loads(load_results(copy, SCHEDULES).to_json())["settings"]
        assert settings == old["settings"]


def test_run_and_extend_refuse_and_leave_every_byte(folder: Path, refused: Refusals) -> None:
    before = everything_in(folder)
    for command in (("run", "smoke", "--out", folder), ("extend", folder, "--tokens", 65536)):
        line = refused(*map(str, command))
        assert "was written by LR Ladder's store version 3" in line and "start a new folder with --out" in line
        assert everything_in(folder) == before


def test_a_folder_is_older_by_its_logs_or_results_where_it_has_no_store(folder: Path, refused: Refusals) -> None:
    (folder / "store.sqlite").unlink()
    before = everything_in(folder)
    assert "LR Ladder's trial version 3" in refused("run", "smoke", "--out", str(folder))
    assert everything_in(folder) == before
    shutil.rmtree(folder / "trials")
    before = everything_in(folder)
    for preset in ("smoke", "moe12b"):  # the second is simulated
        assert "schema lrladder.results/1; this is schema lrladder.results/2" in refused(
            "run", preset, "--out", str(folder)
        )
    assert everything_in(folder) == before


@pytest.mark.parametrize(("version", "remedy"), [("3", "still read the folder"), ("5", "install the newer LR Ladder")])
def test_what_a_killed_process_wrote_last_counts(version: str, remedy: str, tmp_path: Path, refused: Refusals) -> None:
    """Then the version stands in SQLite's write-ahead log alone, and opening the store would write it over."""
    live, killed = tmp_path / "live", tmp_path / "killed"
    live.mkdir()
    with sqlite3.connect(live / "store.sqlite") as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE study (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
        db.execute("INSERT INTO study VALUES ('version', ?)", (version,))
        db.commit()
        shutil.copytree(live, killed)
    before = everything_in(killed)
    assert remedy in refused("run", "smoke", "--out", str(killed))
    assert everything_in(killed) == before


def test_results_that_are_not_what_their_older_schema_says_are_one_line(tmp_path: Path, refused: Refusals) -> None:
    for text in ('{"schema": "lrladder.results/1", "targets": 5}', '{"schema": "lrladder.results/1", "config": 5}'):
        (tmp_path / "results.json").write_text(text)
        for command in ("report", "status"):
            assert "cannot be read" in refused(command, str(tmp_path))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"schema": ' + "[" * 100_000, '{"a": ' + "9" * 5000 + "}"])
def test_a_folder_whose_files_are_odd_names_no_version(text: str, tmp_path: Path) -> None:
    (tmp_path / "trials").mkdir()
    (tmp_path / "trials" / "x.jsonl").write_text(text)
    (tmp_path / "results.json").write_text(text)
    refuse_older(tmp_path)  # does not raise


def test_an_older_config_is_refused_by_the_name_of_its_key(tmp_path: Path, refused: Refusals) -> None:
    line = refused("run", str(FIXTURES / "folder_v3" / "config.yaml"), "--out", str(tmp_path / "new"))
    assert "key paradigms is now entries; write in its place: 'base: p16x2'" in line
    config = load_config("smoke").model_dump(mode="json")
    config["optimizer"]["router_z"] = config["optimizer"].pop("z_loss_coef")
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config))
    line = refused("plan", str(tmp_path / "study.yaml"))
    assert "key optimizer.router_z is now called optimizer.z_loss_coef: rename it" in line
