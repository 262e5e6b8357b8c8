"""Training losses read back from logs: on the way to the longest horizon, whatever the run went through."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lrladder.benchmark.lab import training_losses
from lrladder.benchmark.lab.training_losses import TrainingLosses
from lrladder.benchmark.studies.regret import learning
from lrladder.benchmark.studies.regret.config import RegretConfig, load_config
from lrladder.benchmark.studies.regret.learning import thinned
from lrladder.benchmark.studies.results import Found
from lrladder.paradigms.lab import Measurement
from lrladder.paradigms.paradigm import Proposal


def write(
    folder: Path, name: str, horizons: list[int], rows: list[Mapping[str, object] | str], lr: float = 0.1
) -> None:
    (folder / "trials").mkdir(exist_ok=True)
    lines = [json.dumps({"trial": {"lr": lr, "horizons": horizons}})]
    lines += [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "trials" / f"{name}.jsonl").write_text("\n".join(lines))


def step(tokens: int, loss: float) -> dict[str, object]:
    return {"step": tokens // 10, "tokens": tokens, "loss": loss}


def test_the_last_row_of_a_step_counts_and_torn_lines_do_not(tmp_path: Path) -> None:
    decay = [step(20, 3.0), step(30, 2.5)]  # towards a first horizon; then the trunk goes on from 20
    write(
        tmp_path, "a", [40, 80], [step(0, 9.0), step(10, 4.0), *decay, step(20, 3.5), step(30, 3.2), '{"step": 4, "to']
    )
    assert TrainingLosses(tmp_path).of("a") == [(0, 9.0), (10, 4.0), (20, 3.5), (30, 3.2)]
    assert TrainingLosses(tmp_path).of("missing") == []


def test_what_was_taken_over_stands_in_the_log_of_the_shorter_run(tmp_path: Path) -> None:
    write(tmp_path, "short", [40], [step(0, 9.0), step(10, 4.0), step(20, 3.0)])
    write(tmp_path, "other", [40], [step(0, 8.0), step(10, 7.0)], lr=0.2)
    write(tmp_path, "long", [40, 80], [{"continued_from_tokens": 20}, step(20, 3.5), step(30, 3.2)])
    assert TrainingLosses(tmp_path).of("long") == [(0, 9.0), (10, 4.0), (20, 3.5), (30, 3.2)]


def test_of_other_runs_no_more_than_the_first_line_is_read_and_that_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "short", [40], [step(0, 9.0)])
    for place in range(3):
        write(tmp_path, f"other{place}", [40], [step(0, 8.0)], lr=0.2 + place)
        write(tmp_path, f"long{place}", [40, 80], [step(20, 3.5)])
    (tmp_path / "trials" / "damaged.jsonl").write_text("no log\n")
    whole, first = list[str](), list[str]()
    read, look = training_losses._log, training_losses._specification

    def note(path: Path) -> Any:
        whole.append(path.stem)
        return read(path)

    def note_first(path: Path) -> Any:
        first.append(path.stem)
        return look(path)

    monkeypatch.setattr(training_losses, "_log", note)
    monkeypatch.setattr(training_losses, "_specification", note_first)
    losses = TrainingLosses(tmp_path)
    for place in range(3):
        assert losses.of(f"long{place}") == [(0, 9.0), (20, 3.5)]
    assert sorted(first) == sorted(path.stem for path in (tmp_path / "trials").iterdir())
    assert not any(name.startswith(("other", "damaged")) for name in whole)


@pytest.mark.parametrize("num_seeds", [3, learning.MAX_SEEDS + 5])
def test_a_proposal_has_curves_of_its_first_seeds(num_seeds: int) -> None:
    data = load_config("smoke").model_dump(mode="json")
    study = RegretConfig.model_validate({**data, "validation": {**data["validation"], "seeds": list(range(num_seeds))}})
    rung = study.rungs.targets[0]
    proposal = Proposal(
        paradigm="fitting", rung=rung.name, horizon=max(rung.read), parametrization="sp", lr=0.01, extrapolation=1
    )
    known = {"rung": rung.name, "horizon": max(rung.read), "parametrization": "sp", "lr": 0.01, "verdict": "finished"}
    runs = [Measurement.model_validate({**known, "trial_id": f"{n}", "seed": n, "loss": 3.0}) for n in range(num_seeds)]
    found = Found(runs, losses=lambda trial_id: [(0, float(trial_id))])
    curves = list(learning.learning_curves(study, found, [proposal]))
    assert [(c.seed, c.losses) for c in curves] == [(n, (float(n),)) for n in range(min(num_seeds, learning.MAX_SEEDS))]


def test_thinned_curves_keep_their_ends_and_their_mean() -> None:
    points = [(i, float(i % 7)) for i in range(1001)]
    some = thinned(points, 101)
    assert len(some) == 101 and some[0] == points[0] and some[-1][0] == 1000
    assert thinned(points[:50]) == points[:50]
    assert abs(sum(loss for _, loss in some[1:]) / 100 - sum(loss for _, loss in points[1:]) / 1000) < 1e-9
