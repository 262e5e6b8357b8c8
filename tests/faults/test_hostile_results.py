"""results.json and logs from strangers: one line, nothing a terminal obeys, and the rest of an index stands."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lrladder.benchmark import reading
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.trial_log import TrialLog, read_state
from lrladder.benchmark.studies.watcher import Watcher
from lrladder.reports import pages
from lrladder.reports.index import page as index_page
from tests.benchmark.lab.fake_runner import fake_measurements
from tests.benchmark.trials import tiny_trial
from tests.faults.refusals import Refusals
from tests.reports.synthetic import build_results

DEEP = 100_000
GOOD = json.loads(build_results().to_json())
COMMANDS = [("status",), ("report",), ("recommend", "--rung", "t96x3"), ("compare", "{good}")]
BROKEN = {
    "nested": "[" * DEEP + "]" * DEEP,
    "nested in its place": '{"schema": "lrladder.results/1", "missing": ' + "[" * DEEP + "]" * DEEP + "}",
    "long integer": '{"schema": "lrladder.results/1", "trials": {"finished": ' + "9" * 5000 + "}}",
    "not an object": '"lrladder.results/1"',
    "nothing": "",
    "binary": "\x00\x01\x02",
    "odd values": '{"schema": "lrladder.results/1", "complete": [], "missing": 5, "trials": 7, "measurements": {}}',
}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    good, bad = tmp_path / "good", tmp_path / "bad"
    for folder in (good, bad):
        folder.mkdir()
        (folder / "results.json").write_text(json.dumps(GOOD))
    return good, bad


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_broken_results_are_one_line(
    command: tuple[str, ...], content: str, folders: tuple[Path, Path], refused: Refusals
) -> None:
    good, bad = folders
    (bad / "results.json").write_text(content)
    name, *others = (argument.format(good=good) for argument in command)
    assert str(bad / "results.json") in refused(name, str(bad), *others)


def test_results_that_are_no_plain_file_or_too_large(
    folders: tuple[Path, Path], refused: Refusals, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, bad = folders
    for bound in ("RESULTS_BYTES", "MOST_BYTES"):
        monkeypatch.setattr(f"lrladder.benchmark.studies.layout.{bound}", 1000)
    assert "larger than" in refused("status", str(bad))
    (bad / "results.json").unlink()
    os.mkfifo(bad / "results.json")
    assert "not a plain file" in refused("status", str(bad))


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_the_rest_of_an_index_stands(content: str, folders: tuple[Path, Path]) -> None:
    good, bad = folders
    (bad / "results.json").write_text(content)
    found = {entry.place: entry.held for entry in index_page.entries(good.parent)}
    assert found.keys() == {"good", "bad"}
    assert found["good"] is not None and found["bad"] is None


def _places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(place for key, value in inner for place in _places(value, (*path, key)))]


PLACES = _places(GOOD)[1:]
ODD = st.one_of(
    st.sampled_from([None, True, -1, 0, 2**62, -(2**62), 1e308, -1e308, float("nan"), float("inf"), "", [], {}]),
    st.text(max_size=5),
    st.sampled_from(["[/red]", "\x1b[2J", "$\\frac{", "<script>", ":bug:", "{{ 1 }}"]),
)


def _replaced(place: tuple[Any, ...], value: object) -> Any:
    data = json.loads(json.dumps(GOOD))
    inner = data
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return data


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(PLACES), value=ODD)
def test_any_value_anywhere_is_shown_or_refused(place: tuple[Any, ...], value: object, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps(_replaced(place, value)))
    for use in (pages.held, pages.rewrite, lambda folder: Watcher(folder).look().to_dict()):
        with suppress(InputError):
            assert "\x1b" not in str(use(tmp_path))


@pytest.mark.parametrize("text", ["\x1b[2J", "\x9b2J", "\u202e", "\x7f", "a\rb"])
def test_strings_of_strangers_command_no_terminal(text: str) -> None:
    for escaped in (True, False):
        found = reading.parse_json(json.dumps({text: [text]}, ensure_ascii=escaped))
        assert all(one.isprintable() for key, (value,) in found.items() for one in (key, value))


@given(st.text())
def test_text_that_a_terminal_only_shows_stays_as_it_is(text: str) -> None:
    shown = reading.printable(text)
    assert reading.printable(shown) == shown
    if text.isprintable():
        assert reading.parse_json(json.dumps(text)) == shown == text


LEAVES = st.none() | st.booleans() | st.floats() | st.integers(-(2**63), 2**63) | st.text("ab \ud800")
DOCUMENTS = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text("ab"), inner), max_leaves=12)


@given(DOCUMENTS, st.booleans())
def test_json_is_read_as_python_reads_it(document: object, escaped: bool) -> None:
    text = json.dumps(document, ensure_ascii=escaped)
    assert repr(reading.parse_json(text)) == repr(json.loads(text))  # in text NaN is NaN, and 1 is not 1.0


@given(DOCUMENTS, st.sampled_from([2**63 + 1, -(2**64), 10**4000]))
def test_an_integer_beyond_64_bits_is_refused_wherever_it_is(document: object, large: int) -> None:
    for text in (json.dumps([document, {"a": [large]}]), json.dumps({"a": large, "b": document})):
        with pytest.raises(ValueError, match="does not fit 64 bits"):
            reading.parse_json(text)


ROWS = [
    *("5", "null", '"trial"', '["trial", "step"]', '["step"]', '{"trial": 5}', "\x00", "[" * DEEP),
    *('{"measurements": 5}', '{"measurements": [5]}', '{"trial": {"horizons": []}}', '{"fault": {"a": 1}}'),
    *('{"step": "x", "tokens": [], "loss": {}}', '{"step": ' + "9" * 5000 + "}"),
]


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_an_odd_row_of_a_log_costs_no_other(row: str, tmp_path: Path) -> None:
    trial = tiny_trial()
    log = TrialLog(tmp_path, trial)
    path = tmp_path / "trials" / f"{trial.id}.jsonl"
    for _ in range(2):
        with path.open("a") as file:
            file.write(row + "\n")
        state = read_state(path)
        assert state is not None and state.trial == trial
    log.finish(fake_measurements(trial))
    found = read_state(path)
    assert found is not None and list(found.measurements) == fake_measurements(trial)
    (tmp_path / ".lock").write_text(str(os.getpid()))
    assert Watcher(tmp_path).look().finished == 1


def test_measurements_of_another_trial_are_not_taken(tmp_path: Path) -> None:
    trial, other = tiny_trial(), tiny_trial(seed=1)
    TrialLog(tmp_path, trial).finish(fake_measurements(other))
    found = read_state(tmp_path / "trials" / f"{trial.id}.jsonl")
    assert found is not None and found.measurements == ()
