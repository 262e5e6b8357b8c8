"""gpu-check away from a GPU: its refusal, its steps' bookkeeping, and that the small study it makes is one."""

import json
import os
import sys
from pathlib import Path

import pytest
from rich.console import Console

from lrladder.benchmark.checks.gpu_check import Step, first_rungs, gpu_check, run_steps, steps
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.studies.kinds import plan_of
from lrladder.benchmark.studies.regret.config import load_config


def _python(name: str, code: str, found: str = "as it should") -> Step:
    return Step(name, (sys.executable, "-c", code), lambda out: found)


def _state(out: Path) -> dict[str, dict[str, object]]:
    return json.loads((out / "gpu-check.json").read_text())  # type: ignore[no-any-return]


def test_refused_in_one_line_without_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrladder.benchmark.checks.gpu_check.gpu_names", list)
    with pytest.raises(InputError, match="no NVIDIA GPU here"):
        gpu_check(tmp_path / "out", Console(), minutes=8)
    assert not (tmp_path / "out").exists()


def test_what_succeeded_is_not_run_again_and_what_failed_is(tmp_path: Path) -> None:
    count = f"open({str(tmp_path / 'ran')!r}, 'a').write('x')"
    todo = [_python("once", count), _python("broken", "print('the reason'); raise SystemExit(3)"), _python("last", "")]
    console = Console(record=True, width=120)
    assert not run_steps(todo, tmp_path, console, minutes=1)
    assert "exit 3: the reason" in console.export_text()
    todo[1] = _python("broken", "")
    assert run_steps(todo, tmp_path, console, minutes=1)
    assert (tmp_path / "ran").read_text() == "x"
    assert "as it should" in console.export_text()


def test_time_that_is_up_stops_a_step_and_leaves_the_rest_to_do(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "never")
    todo = [Step("hangs", ("cat", str(tmp_path / "never")), str, resumable=True), _python("last", "")]
    console = Console(record=True, width=120)
    assert not run_steps(todo, tmp_path, console, minutes=0.005)
    assert _state(tmp_path)["hangs"]["found"] == "time is up; the next call continues there"
    assert "last" not in _state(tmp_path) and "to do" in console.export_text()


def test_the_first_rungs_are_the_presets_and_a_study_of_minutes(tmp_path: Path) -> None:
    config, preset = first_rungs(), load_config("gpu")
    assert [rung.shape for rung in config.rungs] == [rung.shape for rung in preset.rungs[:3]]
    assert plan_of(config, flops_per_second=1e14).planned.seconds < 10 * 60
    assert [step.name for step in steps(tmp_path)] == ["machine", "kernels", "smoke", "speed", "rungs"]


def test_the_preset_is_as_large_as_it_says_and_fits_an_h100() -> None:
    preset = load_config("gpu")
    largest = preset.rungs[-1]
    assert len(preset.rungs) >= 5 and largest.n_active >= 100e6 and largest.n_total >= 500e6
    assert plan_of(preset, flops_per_second=3e14).peak_memory_bytes < 70 * 2**30  # of 80
