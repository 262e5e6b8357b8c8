"""`lrladder prepare`: what it caches is what `run` opens, and what it copies out can be used instead."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from lrladder.benchmark.cli import app
from lrladder.benchmark.config.corpus import CorpusConfig
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.training.corpus import prepare
from tests.benchmark.training.text.written import plain

SETTINGS = {"vocab_size": 300, "val_fraction": 0.2, "val_documents": 4}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LRLADDER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _file(folder: Path) -> tuple[str, CorpusConfig]:
    text = plain(folder / "texts")
    sources = {
        "a": {"text": [text.replace("*", "1*")], "weight": 1.0},
        "b": {"text": [text.replace("*", "2*")], "weight": 2.0},
    }
    corpus = SETTINGS | {"sources": sources}
    (folder / "mine.yaml").write_text(yaml.safe_dump({"corpus": corpus}))
    return str(folder / "mine.yaml"), CorpusConfig.model_validate(corpus)


def test_what_is_prepared_is_found_copied_and_used_elsewhere(tmp_path: Path, cache: Path) -> None:
    file, config = _file(tmp_path)
    out = tmp_path / "tokens"
    done = CliRunner().invoke(app, ["prepare", file, "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "b: weight 66.7%" in done.stdout and f"prepared: {out}" in done.stdout
    (entry,) = cache.iterdir()
    found = prepare(config, seq_len=8, cache=cache)
    assert found.path == entry
    moved = out.rename(tmp_path / "moved")
    used = CorpusConfig(prepared=str(moved), **SETTINGS)
    again = prepare(used, seq_len=8, cache=tmp_path / "other")
    assert again.digest == found.digest and np.array_equal(again.val_windows, found.val_windows)
    assert not (tmp_path / "other").exists()
    assert CliRunner().invoke(app, ["prepare", file, "--out", str(moved)]).exit_code == 0  # there already


def test_a_prepared_corpus_that_is_none_or_damaged_is_refused(tmp_path: Path, cache: Path) -> None:
    file, _ = _file(tmp_path)
    out = tmp_path / "tokens"
    CliRunner().invoke(app, ["prepare", file, "--out", str(out)])

    def says(match: str, **keys: object) -> None:
        with pytest.raises(InputError, match=match):
            prepare(CorpusConfig(**(SETTINGS | {"prepared": str(out)} | keys)), seq_len=8, cache=cache)

    says("was made with another vocab_size; set 300", vocab_size=400)
    says("holds no manifest.json; give a folder of `lrladder prepare --out`", prepared=str(tmp_path))
    says("prepared holds tokens already, and text is given too; keep one", text=("x",))
    data = (out / "train.bin").read_bytes()
    (out / "train.bin").write_bytes(bytes([data[0] ^ 1]) + data[1:])
    says("does not hold the tokens that were written to it; copy it again")


def test_another_folder_is_not_overwritten(tmp_path: Path, cache: Path) -> None:
    file, _ = _file(tmp_path)
    done = CliRunner().invoke(app, ["prepare", file, "--out", str(tmp_path / "texts")])
    assert isinstance(done.exception, InputError) and "holds something else; name a new folder" in str(done.exception)


def test_configs_without_the_newer_keys_are_written_as_before() -> None:
    written = CorpusConfig().model_dump(mode="json")
    assert set(written) == {
        "packages", "text", "train_tokens", "val_tokens", "token_dtype", "vocab_size", "val_fraction", "max_bytes",
        "val_documents",
    }  # fmt: skip
