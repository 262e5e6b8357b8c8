"""Odd, huge and malicious YAML: one line that names the key, in bounded time, before anything is built of it."""

import random
from pathlib import Path

import pytest
import yaml

from lrladder.benchmark.config import bounded_yaml
from lrladder.benchmark.config.text import preset_names, read_preset
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.studies.kinds import load_study, plan_of
from lrladder.benchmark.studies.regret.config import load_config
from tests.faults.readers import changed
from tests.faults.refusals import Refusals

SMOKE = load_config("smoke").model_dump(mode="json")
pytestmark = pytest.mark.timeout(60)  # such a config takes under 2 s; unbounded, minutes or for ever
ALIASES = "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 12))


def _refuse(text: str, tmp_path: Path, refused: Refusals) -> str:
    path = tmp_path / "odd.yaml"
    path.write_text(text)
    line = refused("plan", str(path))
    assert line.startswith(f"lrladder: {path}: ")
    return line.removeprefix(f"lrladder: {path}: ")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: 2024-13-45", "name: '2024-13-45' cannot be read as YAML's timestamp"),
        ("name: 2024-11-12", "name: Input should be a valid string"),
        ("ladder: {seq_len: " + "9" * 5000 + "}", "ladder.seq_len: '999"),
        ("ladder: {rungs: [{width: " + "1" * 300 + "}]}", "ladder.rungs.0.width: '111"),
        ("ladder: {rungs: [{width: 0x" + "f" * 60 + "}]}", "ladder.rungs.0.width: '0xff"),
        (
            "ladder: {rungs: [{width: 9999999999999999999}]}",
            "ladder.rungs.0.width: '9999999999999999999' does not fit",
        ),
        ("corpus: {vocab_size: !!int abc}", "corpus.vocab_size: 'abc' cannot be read as YAML's int"),
        ("corpus: {packages: !!bool 5}", "corpus.packages: '5' cannot be read as YAML's bool"),
        ("corpus: {max_bytes: !!float x}", "corpus.max_bytes: 'x' cannot be read as YAML's float"),
        ("corpus: {max_bytes: !!timestamp x}", "corpus.max_bytes: 'x' cannot be read as YAML's timestamp"),
        ("corpus: {max_bytes: !!binary 5}", "corpus.max_bytes: '5' cannot be read as YAML's binary"),
        ("schedule: {warmup_tokens: =}", "schedule.warmup_tokens: '=' cannot be read as YAML's value"),
        ("name: " + "[" * 5000 + "]" * 5000, "nested more than 32 levels"),
        ("name: " + "{a: " * 5000 + "}" * 5000, "nested more than 32 levels"),
        ("- " * 5000, "nested more than 32 levels"),
        ("name: &x [*x]", "the alias *x is part of the value that it names"),
        ("name: a\nname: b", "name is given twice"),
        ("? [1, 2]\n: 3", "unhashable key"),
        ("name: !!python/object/apply:os.system [x]", "python/object"),
        ("name: \x01", "characters are not allowed"),
        ("", "this file is empty"),
        (ALIASES, "more than 20,000 values"),
        (MERGES, "more than 20,000 values"),
        ("a: [" + "1, " * 60_000 + "1]", "more than 20,000 values"),
        ("# " + "x" * 300_000, "larger than 256 KiB"),
    ],
)
def test_one_line_that_names_the_key(text: str, says: str, tmp_path: Path, refused: Refusals) -> None:
    assert says in _refuse(text, tmp_path, refused)


def test_more_of_anything_than_a_study_can_have(tmp_path: Path, refused: Refusals) -> None:
    data = yaml.safe_load(yaml.safe_dump(SMOKE))
    rungs = data["ladder"]["rungs"]
    data["ladder"]["rungs"] = [{**rungs[-1], "name": f"r{i}", "horizons": [32768]} for i in range(1000)]
    assert "ladder.rungs: Tuple should have at most 256" in _refuse(yaml.safe_dump(data), tmp_path, refused)
    data["ladder"]["rungs"] = rungs
    data["validation"]["seeds"] = list(range(100_000))
    assert "larger than" in _refuse(yaml.safe_dump(data), tmp_path, refused)


def test_the_largest_ladder_is_planned_in_bounded_time(tmp_path: Path) -> None:
    data = yaml.safe_load(yaml.safe_dump(SMOKE))
    rungs = data["ladder"]["rungs"]
    data["ladder"]["rungs"] = rungs + [{**rungs[-1], "name": f"r{i}"} for i in range(256 - len(rungs))]
    (tmp_path / "large.yaml").write_text(yaml.safe_dump(data))
    assert len({trial.rung for trial in plan_of(load_study(str(tmp_path / "large.yaml"))).trials}) == 256


def test_a_copied_config_has_its_own_rungs() -> None:
    config = load_config("smoke")
    names = [rung.name for rung in config.rungs]
    fewer = config.ladder.model_copy(update={"rungs": config.ladder.rungs[:2]})
    assert [rung.name for rung in config.model_copy(update={"ladder": fewer}).rungs] == names[:2]
    assert config == load_config("smoke")  # whether or not its rungs were asked for


@pytest.mark.parametrize("preset", preset_names())
def test_a_preset_is_read_as_yaml_reads_it(preset: str) -> None:
    text = read_preset(preset)
    assert bounded_yaml.load(text, source=preset) == yaml.safe_load(text)


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML was built without libyaml, so it has one parser")
def test_libyaml_reads_what_the_parser_of_python_reads() -> None:
    """A few texts are YAML to one of the two parsers alone. What both read is the same; else one line says why not."""
    whole = [read_preset(preset).encode() for preset in preset_names()]
    both = 0
    for seed in range(300):
        rng = random.Random(seed)
        text = changed(rng.choice(whole), rng).decode(errors="replace")
        found = [_read(text, loader) for loader in (yaml.SafeLoader, yaml.CSafeLoader)]
        assert all("\n" not in refusal for value, refusal in found)
        if not any(refusal for value, refusal in found):
            assert found[0] == found[1], seed
            both += 1
    assert both > 100


def _read(text: str, loader: bounded_yaml.Loader) -> tuple[str, str]:
    """What a parser reads, as text in which NaN equals itself, or its refusal."""
    try:
        return repr(bounded_yaml.load(text, source="x", loader=loader)), ""
    except InputError as error:
        return "", str(error)


def test_anchors_and_merges_of_a_usual_size_are_read(tmp_path: Path) -> None:
    text = "base: &b {a: 1, b: 2}\nown: {<<: *b, b: 3}\nalso: [*b, *b]\n"
    assert bounded_yaml.load(text, source="x") == yaml.safe_load(text)


@pytest.mark.parametrize("path", ["~nosuchuser/x.txt", "a\0b", "~nosuchuser/*.txt"])
def test_paths_that_cannot_be_name_their_key(path: str, tmp_path: Path, refused: Refusals) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump({**SMOKE, "corpus": {"text": [path], "vocab_size": 300}}))
    assert "correct corpus.text" in refused("run", str(file), "--out", str(tmp_path / "out"))


def test_a_config_that_is_no_plain_file(tmp_path: Path, refused: Refusals) -> None:
    (tmp_path / "endless.yaml").symlink_to("/dev/zero")
    assert "not a plain file" in refused("plan", str(tmp_path / "endless.yaml"))
