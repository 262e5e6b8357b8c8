"""Bad input: one clear line that names the key or file, exit code 2, nothing written over."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from benchmark.config import load_config

SMOKE = load_config("smoke").model_dump(mode="json")


def _run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LRLADDER_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-c", "from benchmark.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd=Path(__file__).parents[2], check=False)


def _refused(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done
    lines = done.stderr.strip().split("\n")
    assert len(lines) == 1 and "Traceback" not in done.stderr, done.stderr
    return lines[0]


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


def test_unknown_preset_suggests_one(tmp_path: Path) -> None:
    assert "did you mean 'smoke'" in _refused(_run(tmp_path, "plan", "smokey"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"lader": {}}, "unknown key lader; did you mean 'ladder'"),
        ({"ladder__seq_length": 64}, "did you mean 'seq_len'"),
        ({"ladder__seq_len": "long"}, "ladder.seq_len"),
        ({"ladder__rungs__0__width": 20}, "width 20 is not divisible by head_size 8"),
        ({"ladder__top_k": 9}, "top_k 9 > num_experts 4"),
        ({"ladder__rungs__0__horizons": [2048]}, "warmup_tokens 4096"),
        ({"ladder__rungs__3__width": 16}, "is not larger than proxy"),
        ({"paradigms__mutransfer_proxy": "p99"}, "'p99' is not a proxy rung"),
        ({"schedule__decay_fraction": 1.5}, "schedule.decay_fraction"),
        ({"paradigms__fitting__lr_guess": -1}, "paradigms.fitting.lr_guess"),
    ],
)
def test_bad_config_names_its_key(changes: dict[str, object], says: str, tmp_path: Path) -> None:
    assert says in _refused(_run(tmp_path, "plan", _config(tmp_path, **changes)))


def test_not_yaml_and_not_a_mapping(tmp_path: Path) -> None:
    for text, says in [("a: [", "not valid YAML"), ("- 1", "a config is a mapping")]:
        (tmp_path / "bad.yaml").write_text(text)
        assert says in _refused(_run(tmp_path, "plan", str(tmp_path / "bad.yaml")))
    assert "cannot be read" in _refused(_run(tmp_path, "plan", str(tmp_path / "absent.yaml")))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("absent", None, "absent"),
        ("binary.txt", b"\x00\x01\x02", "binary.txt"),
        ("latin.txt", b"caf\xe9 " * 100, "latin.txt"),
        ("empty.txt", b"", "empty"),
    ],
)
def test_bad_corpus_names_its_file(name: str, content: bytes | None, says: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    (tmp_path / "good.txt").write_text("words " * 100)
    config = _config(tmp_path, corpus__text=[str(tmp_path / name), str(tmp_path / "good.txt")])
    assert says in _refused(_run(tmp_path, "run", config, "--out", str(tmp_path / "out")))


def test_corpus_too_short_for_the_horizon(tmp_path: Path) -> None:
    for index in range(4):
        (tmp_path / f"{index}.txt").write_text(" ".join(f"{word} {word * index}" for word in range(700)))
    config = _config(tmp_path, corpus__text=[str(tmp_path / "*.txt")], corpus__vocab_size=300)
    assert "too short for horizon" in _refused(_run(tmp_path, "run", config, "--out", str(tmp_path / "out")))


def test_out_that_is_a_file_and_backend_that_cannot_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    assert "cannot be written" in _refused(_run(tmp_path, "run", "smoke", "--out", str(tmp_path / "file")))
    assert (tmp_path / "file").read_text() == "kept"
    config = _config(tmp_path, expert_backend="megablocks")
    assert "use expert_backend: grouped" in _refused(_run(tmp_path, "run", config, "--out", str(tmp_path / "out")))


def test_report_of_a_folder_without_or_with_damaged_results(tmp_path: Path) -> None:
    assert "does not exist" in _refused(_run(tmp_path, "report", str(tmp_path)))
    (tmp_path / "results.json").write_text("{")
    assert "cannot be read" in _refused(_run(tmp_path, "status", str(tmp_path)))
