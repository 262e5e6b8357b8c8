"""`lrladder gpu-check`: everything that only a GPU can show, in one table. It can run in several short calls."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from rich.console import Console

from lrladder.benchmark.environment import gpu_names
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import make_folder, open_plain, write_text
from lrladder.benchmark.reading import CONFIG_BYTES, parse_json, read_text
from lrladder.benchmark.studies.regret.config import RegretConfig, load_config
from lrladder.benchmark.tables import WordTable

PRESET = "gpu"
RUNGS = 3  # the first rungs of the preset; the third is the target
SHORTER = 8  # horizons are divided by this, as it is only tested whether the rungs train; assumption
END_SECONDS = 60  # time in which a stopped study must save its runs and write its report; assumption
CHECKOUT = Path(__file__).parents[3]
LRLADDER = (sys.executable, "-c", "from lrladder.benchmark.cli import main; main()")


class Step(NamedTuple):
    """A command that the check runs."""

    name: str
    command: Sequence[str]
    found: Callable[[Path], str]  # after success: the result as one line, from the folder of the check
    resumable: bool = False  # whether the command, when run again, continues where it was stopped


def gpu_check(out: Path, console: Console, *, minutes: float) -> bool:
    """Run the steps that have not succeeded yet until the time is up, and print the table. True if all have succeeded.

    Raises InputError on a machine without a GPU.
    """
    if not gpu_names():
        raise InputError("gpu-check: no NVIDIA GPU here; on a machine that has one, run `make gpu-check` again")
    out = out.resolve()  # steps run in the checkout, which has the tests
    make_folder(out)
    write_text(out / "rungs.yaml", yaml.safe_dump(first_rungs().model_dump(mode="json"), sort_keys=False))
    return run_steps(steps(out), out, console, minutes=minutes)


def first_rungs() -> RegretConfig:
    """A small study of the first rungs of the preset."""
    data = load_config(PRESET).model_dump(mode="json")
    data["name"] = f"{PRESET}-check"
    rungs = data["ladder"]["rungs"][:RUNGS]
    for rung in rungs:
        rung["horizons"] = [horizon // SHORTER for horizon in rung["horizons"]]
    rungs[-1]["part"] = "target"
    data["ladder"]["rungs"] = rungs
    data["schedule"]["warmup_tokens"] //= SHORTER
    for entry in data["entries"].values():
        if "seeds" in entry:
            entry["seeds"] = [0]
    return RegretConfig.model_validate(data)


def steps(out: Path) -> list[Step]:
    """All steps, ordered so that each is useful without the later ones."""
    bench = ("bench", PRESET, "--rounds", "3", "--steps", "4", "--out", str(out / "bench.json"))
    return [
        Step("machine", (*LRLADDER, "doctor"), lambda where: _line(where / "machine.log", "experts")),
        Step(
            "kernels", (sys.executable, "-m", "pytest", "-q", "tests/gpu"), lambda folder: _last(folder / "kernels.log")
        ),
        Step("smoke", (*LRLADDER, "run", "smoke", "--out", str(out / "smoke")), _study("smoke"), resumable=True),
        Step("speed", (*LRLADDER, *bench), _speed),
        Step("rungs", (*LRLADDER, "run", str(out / "rungs.yaml"), "--out", str(out / "rungs")), _study("rungs"), True),
    ]


def run_steps(todo: Sequence[Step], out: Path, console: Console, *, minutes: float) -> bool:
    """Run each step that has not succeeded in `out`, until `minutes` are over. True if all have succeeded."""
    end = time.monotonic() + 60 * minutes
    state = _read(out / "gpu-check.json")
    for step in todo:
        if state.get(step.name, {}).get("ok") or (left := end - time.monotonic()) <= 0:
            continue
        console.print(f"{step.name} ...")
        state[step.name] = _run(step, out, seconds=left)
        write_text(out / "gpu-check.json", json.dumps(state, indent=2))
    console.print(_table(todo, state))
    done = all(state.get(step.name, {}).get("ok") for step in todo)
    rest = f"Some steps are left. The same command continues with them. Logs are in {out}"
    console.print("All steps succeeded." if done else rest)
    return done


def _run(step: Step, out: Path, *, seconds: float) -> dict[str, Any]:
    began = time.monotonic()
    log = out / f"{step.name}.log"
    with os.fdopen(open_plain(log, os.O_WRONLY | os.O_TRUNC), "w", encoding="utf-8") as file:
        env = os.environ | {"COLUMNS": "120"}
        process = subprocess.Popen(step.command, stdout=file, stderr=file, env=env, cwd=CHECKOUT)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            _end(process)
            then = "continues there" if step.resumable else "starts again"
            return {"ok": False, "seconds": time.monotonic() - began, "found": f"time is up; the next call {then}"}
        except BaseException:  # Ctrl-C
            _end(process)
            raise
    spent = time.monotonic() - began
    if code:
        return {"ok": False, "seconds": spent, "found": f"exit {code}: {_last(log)}"}
    return {"ok": True, "seconds": spent, "found": step.found(out)}


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Stop a step. A study then saves its runs."""
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _table(todo: Sequence[Step], state: dict[str, Any]) -> WordTable:
    heads = ("step", "", "seconds", "what was found")
    table = WordTable("gpu-check", heads, left=len(heads))
    for step in todo:
        row = state.get(step.name)
        if row is None:
            table.add_row(step.name, "to do", "", "")
        else:
            table.add_row(step.name, "ok" if row["ok"] else "no", f"{row['seconds']:.0f}", row["found"])
    return table


def _study(name: str) -> Callable[[Path], str]:
    """The result of a study in the folder `name`: its numbers of trials."""

    def found(out: Path) -> str:
        trials = json.loads((out / name / "results.json").read_text(encoding="utf-8"))["trials"]
        return f"{trials['finished']} trials finished, {trials['diverged']} diverged, {trials['failed']} failed"

    return found


def _speed(out: Path) -> str:
    rungs = json.loads((out / "bench.json").read_text(encoding="utf-8"))["rungs"]
    return "; ".join(f"{row['rung']} {row['mfu']:.0%} of the GEMM peak, {row['ratio']:.2f} of Mixtral" for row in rungs)


def _line(log: Path, key: str) -> str:
    return next((line for line in log.read_text(encoding="utf-8").splitlines() if line.startswith(key)), "")


def _last(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no output"


def _read(path: Path) -> dict[str, Any]:
    try:
        found = parse_json(read_text(path, CONFIG_BYTES))
    except (OSError, ValueError):
        return {}
    return {name: row for name, row in found.items() if _is_row(row)} if isinstance(found, dict) else {}


def _is_row(row: object) -> bool:
    return isinstance(row, dict) and isinstance(row.get("seconds"), int | float) and {"ok", "found"} <= row.keys()
