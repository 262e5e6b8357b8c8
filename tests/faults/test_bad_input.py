"""Bad input: one clear line that names the key or file, exit code 2, nothing written over."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from lrladder.benchmark.studies.regret.config import load_config
from tests.faults.refusals import Refusals
from tests.paths import ROOT

SMOKE = load_config("smoke").model_dump(mode="json")


def test_exit_code_and_stderr_of_the_real_command() -> None:
    command = [sys.executable, "-c", "from lrladder.benchmark.cli import main; main()", "plan", "smokey"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def _config(tmp_path: Path, **changes: object) -> str:
    """The smoke config with some values replaced; keys are dotted paths with __ for the dot."""
    data = yaml.safe_load(yaml.safe_dump(SMOKE))
    for key, value in changes.items():
        *path, last = key.split("__")
        place = data
        for part in path:
            place = place[int(part) if part.isdigit() else part]
        place[last] = value
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(data))
    return str(file)


def test_unknown_preset_suggests_one(refused: Refusals) -> None:
    assert "did you mean 'smoke'" in refused("plan", "smokey")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"lader": {}}, "unknown key lader; did you mean 'ladder'"),
        ({"zzqq": 1}, "unknown key zzqq; the config has base, corpus, "),
        ({"schedule__zzqq": 1}, "unknown key schedule.zzqq; schedule has "),
        ({"corpus__text": "x/*.txt"}, 'corpus.text: must be a list; write ["x/*.txt"]'),
        ({"ladder__rungs__0__batch_tokens": "16e3"}, "'16e3' is text in YAML; write 16000"),
        ({"ladder__seq_length": 64}, "did you mean 'seq_len'"),
        ({"ladder__seq_len": "long"}, "ladder.seq_len"),
        ({"ladder__rungs__0__width": 20}, "width 20 is not divisible by head_size 8"),
        ({"ladder__top_k": 9}, "top_k 9 is more than num_experts 4"),
        ({"ladder__rungs__0__horizons": [2048]}, "before the warm-up of 4096 tokens"),
        ({"ladder__rungs__3__width": 16}, "is not larger than proxy"),
        ({"base": "p99"}, "'p99' is not a proxy rung"),
        ({"schedule__decay_fraction": 0.01}, "lengthen the horizon, raise decay_fraction or lower batch_tokens"),
        ({"schedule__decay_fraction": 1.5}, "schedule.decay_fraction"),
        ({"validation__seeds": [0, 0]}, "validation.seeds: a value is given twice"),
        ({"ladder__rungs__0__horizons": [16384, 16384]}, "horizons: a value is given twice"),
        ({"entries__fitting__factor": 1e200}, "entries.fitting.factor"),
        ({"ladder__expert_ratio": 1e308}, "ladder.expert_ratio"),
        ({"entries__fitting__lr_guess": -1}, "entries.fitting.lr_guess"),
    ],
)
def test_bad_config_names_its_key(changes: dict[str, object], says: str, tmp_path: Path, refused: Refusals) -> None:
    assert says in refused("plan", _config(tmp_path, **changes))


def test_a_misspelt_required_key_is_not_said_to_be_missing(tmp_path: Path, refused: Refusals) -> None:
    file = Path(_config(tmp_path, entries__fitting__lr_gues=0.01))
    data = yaml.safe_load(file.read_text())
    data["entries"]["fitting"].pop("lr_guess", None)
    file.write_text(yaml.safe_dump(data))
    assert "unknown key lr_gues; did you mean 'lr_guess'?" in refused("plan", str(file))


def test_not_yaml_and_not_a_mapping(tmp_path: Path, refused: Refusals) -> None:
    for text, says in [("a: [", "not valid YAML"), ("- 1", "a config has lines of the form")]:
        (tmp_path / "bad.yaml").write_text(text)
        assert says in refused("plan", str(tmp_path / "bad.yaml"))
    assert "cannot be read" in refused("plan", str(tmp_path / "absent.yaml"))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("absent", None, "absent"),
        ("binary.txt", b"\x00\x01\x02", "binary.txt"),
        ("latin.txt", b"caf\xe9 " * 100, "latin.txt"),
        ("empty.txt", b"", "empty"),
    ],
)
def test_bad_corpus_names_its_file(
    name: str, content: bytes | None, says: str, tmp_path: Path, refused: Refusals
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    config = _config(tmp_path, corpus__text=[str(tmp_path / name)])
    assert says in refused("run", config, "--out", str(tmp_path / "out"))


def test_corpus_too_short_for_the_horizon(tmp_path: Path, refused: Refusals) -> None:
    for index in range(4):
        (tmp_path / f"{index}.txt").write_text(" ".join(f"{word} {word * index}" for word in range(700)))
    config = _config(tmp_path, corpus__text=[str(tmp_path / "*.txt")], corpus__vocab_size=300)
    assert "too short for horizon" in refused("run", config, "--out", str(tmp_path / "out"))


def test_out_that_is_a_file_and_backend_that_cannot_run(tmp_path: Path, refused: Refusals) -> None:
    (tmp_path / "file").write_text("kept")
    assert "cannot be written" in refused("run", "smoke", "--out", str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "kept"
    config = _config(tmp_path, expert_backend="megablocks")
    assert "use expert_backend: grouped" in refused("run", config, "--out", str(tmp_path / "out"))


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        (100, "the decay for horizon 100 begins before the warm-up of 4096 tokens is over"),
        (32768, "continued may only list horizons beyond the longest one of a target"),
        (40000, "horizon 40000 is not a multiple of batch_tokens 1024"),
        (10**9 // 1024 * 1024, "corpus too short for horizon"),
    ],
)
def test_extend_to_where_it_cannot_go_changes_nothing(
    tokens: int, says: str, tmp_path: Path, refused: Refusals
) -> None:
    text = yaml.safe_dump({**SMOKE, "corpus": {"text": [_text(tmp_path)], "vocab_size": 300}})
    (tmp_path / "config.yaml").write_text(text)
    (tmp_path / "results.json").write_text("{}")
    assert says in refused("extend", str(tmp_path), "--tokens", str(tokens))
    assert (tmp_path / "config.yaml").read_text() == text
    assert not list(tmp_path.glob("*-*.yaml"))


def _text(tmp_path: Path) -> str:
    """Two files that differ: a training file that repeats the validation's is dropped."""
    for seed, name in enumerate(("a.txt", "b.txt")):
        (tmp_path / name).write_text(" ".join(map(str, np.random.default_rng(seed).integers(0, 1000, 200_000))))
    return str(tmp_path / "*.txt")


def test_only_a_trained_benchmark_can_be_extended(tmp_path: Path, refused: Refusals) -> None:
    (tmp_path / "config.yaml").write_text("kind: power\n")
    assert "config.yaml" in refused("extend", str(tmp_path), "--tokens", "1024")
    simulated = load_config("moe12b").model_dump(mode="json")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(simulated))
    assert "only a benchmark that was trained" in refused("extend", str(tmp_path), "--tokens", "1024")


def test_report_of_a_folder_without_or_with_damaged_results(tmp_path: Path, refused: Refusals) -> None:
    assert "holds no results" in refused("report", str(tmp_path))
    (tmp_path / "results.json").write_text("{")
    assert "cannot be read" in refused("status", str(tmp_path))
