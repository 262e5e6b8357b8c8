"""A tuning that really trains, a minute's worth of a second: run, killed, continued, reported."""

import json
from pathlib import Path

import pytest
import yaml

from lrladder.benchmark.cli import main
from lrladder.benchmark.studies.recipe.results import TuningResults
from lrladder.benchmark.studies.stored import load_results, stored_kind
from lrladder.reports.pages import held
from tests.benchmark.studies.recipe.bowl import tuning


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["lrladder", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The smoke base for eight steps, on some text of its own."""
    monkeypatch.setenv("LRLADDER_CACHE", str(tmp_path / "cache"))
    for i in range(40):
        (tmp_path / f"{i}.txt").write_text(" ".join(f"{(i * k * k) % 997} is {k}" for k in range(400)))
    config = tuning(
        corpus={"vocab_size": 512, "text": [str(tmp_path / "*.txt")], "val_documents": 4, "val_fraction": 0.2},
        start={**tuning().start.model_dump(), "batch_tokens": 256, "tokens": 2048},
        schedule={"warmup_tokens": 512},
        budget=6,
        fresh_seeds=(4, 5),
    )
    path = tmp_path / "tuning.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    return path


def test_a_trained_tuning_is_stored_read_again_and_reported(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert command(monkeypatch, "run", str(study), "--out", str(out), "--workers", "1") == 0
    results = TuningResults.from_json((out / "results.json").read_text())
    assert "embedding_std" in capsys.readouterr().out
    assert results.search_runs == 6  # three values of the embedding's ratio, with two seeds
    assert results.last_runs == 4  # the old recipe, and the new one; putting its one change back is the old one
    assert results.gain is not None
    assert results.trials.finished == 10
    losses = {(m.parametrization, m.seed): m.loss for m in results.measurements}
    assert len(set(losses.values())) == 10  # a recipe that changed nothing would give a loss twice

    (out / "results.json").unlink()
    page = (out / "report" / "index.html").read_text()
    assert command(monkeypatch, "report", str(out)) == 0
    kind = stored_kind(out)
    from_store = load_results(out, kind)
    assert {(m.parametrization, m.seed): m.loss for m in from_store.measurements} == losses
    assert from_store.ingredients == results.ingredients
    assert held(out).kind == "recipe"
    assert "embedding LR" in page

    assert command(monkeypatch, "run", str(study), "--out", str(out), "--workers", "1") == 0
    again = json.loads((out / "results.json").read_text())
    assert again["trials"]["trained_now"] == 0
    capsys.readouterr()
    assert command(monkeypatch, "status", str(out)) == 0
    assert "10 finished" in capsys.readouterr().out
