"""Kinds, not cases: whatever a file or an argument holds, a reader reads it or says in one line why not.

LRLADDER_FUZZ is how many inputs each test makes, 100 without it; pytest --hypothesis-show-statistics prints figures.
"""

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lrladder.benchmark import cli
from lrladder.benchmark.config.text import preset_names, read_preset
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.loggers import choice
from lrladder.benchmark.lab.trial_log import TrialLog, read_state
from lrladder.benchmark.own_runs.fit_file import fit_file
from lrladder.benchmark.studies.kinds import load_study, plan_of
from lrladder.benchmark.studies.regret.config import load_config
from lrladder.benchmark.studies.watcher import Watcher
from lrladder.benchmark.training import compiling
from lrladder.reports import pages
from tests.benchmark.lab.fake_runner import fake_measurements
from tests.benchmark.own_runs.run_tables import table
from tests.benchmark.trials import tiny_trial
from tests.reports.synthetic import build_results

EXAMPLES = int(os.environ.get("LRLADDER_FUZZ", "100"))
# the folder is one for all inputs of a test, each of which writes its own file there
fuzzed = settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture, *HealthCheck])
NUMBERS = ("0", "-1", "1", "nan", "inf", "-inf", "1e308", "1e-320", "9" * 30, "2.5", "0x10", "1_000", "1:30")
WORDS = (
    "",
    "null",
    "true",
    "~",
    "[]",
    "{}",
    "[[]]",
    "!!int x",
    "*a",
    "&a",
    "<<",
    "\x1b[2J",
    "\0",
    "'",
    '"',
    "ü",
    "\ud800",
)
# no path that leads out of a test's own folder
ODD = st.one_of(st.sampled_from(NUMBERS), st.sampled_from(WORDS), st.text(max_size=8)).map(
    lambda text: text.translate(dict.fromkeys(map(ord, "/~"), "_")).replace("..", "._")
)


def _mutated(text: str, data: st.DataObject) -> str:
    """A few pieces replaced, taken out, doubled or put in."""
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.sampled_from([0, 1, 2, 5, 20, 200])))
        piece = data.draw(st.one_of(ODD, st.just(2 * text[start:end])))
        text = text[:start] + piece + text[end:]
    return text


def _write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    return path


def _reads_or_refuses(read: Callable[[], object]) -> None:
    with suppress(InputError):
        read()


@fuzzed
@given(data=st.data())
def test_configs(data: st.DataObject, tmp_path: Path) -> None:
    text = _mutated(_preset(data.draw(st.sampled_from(preset_names()))), data)
    path = _write(tmp_path / "x.yaml", text)
    _reads_or_refuses(lambda: plan_of(load_study(str(path))))


@fuzzed
@given(data=st.data())
def test_values_of_configs(data: st.DataObject, tmp_path: Path) -> None:
    config = yaml.safe_load(_preset(data.draw(st.sampled_from(preset_names()))))
    for _ in range(data.draw(st.integers(1, 2))):
        _replace(config, data)
    path = _write(tmp_path / "x.yaml", yaml.safe_dump(config, allow_unicode=True))
    _reads_or_refuses(lambda: plan_of(load_study(str(path))))


@cache
def _preset(name: str) -> str:
    return read_preset(name)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-3, 3),
    st.floats(),
    st.text(max_size=5),
    st.just([]),
    st.just({}),
)


def _replace(value: Any, data: st.DataObject) -> None:
    """One value anywhere below."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if not isinstance(value[key], dict | list) or data.draw(st.integers(0, 4)) == 0:
            value[key] = data.draw(VALUES)
            return
        value = value[key]


TABLE = table(sizes=(1e7, 4e7), horizons=(1e9, 4e9)).to_csv(index=False)


@fuzzed
@given(data=st.data())
def test_tables_of_runs(data: st.DataObject, tmp_path: Path) -> None:
    path = _write(tmp_path / "runs.csv", _mutated(TABLE, data))
    _reads_or_refuses(lambda: fit_file(path, protocol="best"))


CONFIG = load_config("smoke").model_dump(mode="json")
RESULTS = build_results(config=CONFIG).to_json()


@fuzzed
@given(data=st.data())
def test_results(data: st.DataObject, tmp_path: Path) -> None:
    _write(tmp_path / "results.json", _mutated(RESULTS, data))
    _reads_or_refuses(lambda: pages.held(tmp_path))
    _reads_or_refuses(lambda: Watcher(tmp_path).look().to_dict())


@fuzzed
@given(data=st.data())
def test_logs(data: st.DataObject, tmp_path: Path) -> None:
    trial = tiny_trial()
    path = tmp_path / "trials" / f"{trial.id}.jsonl"
    path.unlink(missing_ok=True)
    log = TrialLog(tmp_path, trial)
    log.write({"step": 1, "tokens": 64, "loss": 4.0})
    log.finish(fake_measurements(trial))
    _write(path, _mutated(path.read_text(), data))
    state = read_state(path)
    if state is not None and state.sealed:
        assert list(state.measurements) == fake_measurements(trial)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    (tmp_path / ".lock").write_text(str(os.getpid()))
    _reads_or_refuses(lambda: Watcher(tmp_path).look().to_dict())


COMMANDS = {
    name or command.callback.__name__.replace("_", "-"): command
    for part in map(import_module, (f"lrladder.benchmark.commands.{file}" for file in cli.FILES))
    for command in part.app.registered_commands
    if command.callback is not None
    for name in [command.name]
}
LIKELY = ("1e9", "1000", "0.01", "t48x4", "out", "json")
LONG = {
    "run",
    "tune-recipe",
    "extend",
    "bench",
    "coordcheck",
    "gpu-check",
    "prepare",
}  # they train, or build a corpus: tested up to where that would begin


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Something to read for each command, and a place of its own to write to."""

    def stop(*arguments: object, **options: object) -> None:
        raise InputError("here it would train")

    for name in (
        "studies.runner.run_study",
        "checks.coordcheck.check",
        "checks.bench.runner.run_bench",
        "training.corpus.verified_entry",
    ):
        monkeypatch.setattr(f"lrladder.benchmark.{name}", stop)
    monkeypatch.setattr("lrladder.benchmark.checks.gpu_check.gpu_names", list)
    for variable in (choice.VARIABLE, compiling.VARIABLE):  # what --log and --no-compile set ends with the test
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    (tmp_path / "results.json").write_text(RESULTS)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    (tmp_path / "runs.csv").write_text(TABLE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@fuzzed
@given(data=st.data())
@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_arguments_of(name: str, data: st.DataObject, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = _options(name)
    arguments = [data.draw(st.one_of(st.sampled_from([".", "smoke", "runs.csv", "wsd", "power"]), ODD))]
    for option, is_flag in data.draw(st.lists(st.sampled_from(options), max_size=4)) if options else []:
        arguments.append(option)
        if not is_flag:
            arguments.append(data.draw(st.one_of(ODD, st.sampled_from(LIKELY))))
    arguments = [argument for argument in arguments if argument not in ("--watch", "--pdf")]
    before, sys.argv = sys.argv, ["lrladder", name, *arguments]
    try:
        cli.main()
    except SystemExit as ended:
        code = ended.code
    finally:
        sys.argv = before
    said = capsys.readouterr()
    assert code in (0, 2, 3), arguments
    assert "\x1b" not in said.out + said.err
    assert said.err.count("\n") == (code == 2) or "Usage:" in said.err, (arguments, said.err)


@cache
def _options(name: str) -> tuple[tuple[str, bool], ...]:
    group: Any = typer.main.get_command(cli.app)
    return tuple((param.opts[0], param.is_flag) for param in group.commands[name].params if param.opts[0][0] == "-")


def test_every_command_is_fuzzed() -> None:
    group: Any = typer.main.get_command(cli.app)
    assert set(group.commands) == set(COMMANDS)
    assert set(COMMANDS) >= LONG
    assert json.loads(RESULTS)["schema"]
