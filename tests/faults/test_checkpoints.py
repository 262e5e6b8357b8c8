"""A checkpoint or a stored trunk that is damaged is set aside; the run goes on from the older one, or anew."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.training.checkpoints import Clock, Known, Position, Stored, is_saved, load, save
from lrladder.benchmark.training.corpus import Corpus
from lrladder.benchmark.training.disk import state_bytes
from lrladder.benchmark.training.loop import Loop
from lrladder.benchmark.training.train import train
from tests.benchmark.trials import BATCH, CHANGES, no_log, outcome, tiny_corpus, tiny_trial
from tests.faults.power import PowerCut, cut_power

STOP = 14  # steps, between the decays of a tiny trial


class Killed(Exception):
    """In place of a signal."""


def ignored(sentence: str) -> None:
    del sentence


def at(step: int) -> Stored:
    return Stored(Known(Position(step, [1.0] * step, {}), None, None, {}, None), None, None)


def step_of(path: Path, said: list[str] | None = None) -> int | None:
    found = load(path, say=ignored if said is None else said.append)
    return found.known.now.step if found is not None else None


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A run with checkpoints after steps 1 and 2, of which ID.1.pt is the newer one."""
    path = tmp_path / "trunks" / "run.pt"
    for step in (1, 2):
        save(path, at(step), say=ignored)
    return path


def flip(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


@pytest.mark.parametrize("seed", range(40))
def test_a_flipped_bit_is_noticed_wherever_it_is(seed: int, two: Path) -> None:
    said: list[str] = []
    flip(two.with_suffix(".1.pt"), random.Random(seed))
    assert step_of(two, said) == 1
    assert len(said) == 1 and "run.1.pt" in said[0] and "set aside as run.1.pt.damaged" in said[0]
    assert step_of(two, said) == 1 and len(said) == 1  # it is said once
    flip(two.with_suffix(".0.pt"), random.Random(seed))
    assert step_of(two, said) is None and len(said) == 2
    save(two, at(3), say=ignored)
    assert step_of(two) == 3


@pytest.mark.parametrize("seed", range(20))
def test_a_flipped_bit_of_the_manifest_vouches_for_no_other_file(seed: int, two: Path) -> None:
    flip(two.with_suffix(".json"), random.Random(seed))
    assert step_of(two) in (1, 2, None)
    save(two, at(3), say=ignored)
    assert step_of(two) == 3


@pytest.mark.parametrize("left", [0, 1, 100, -1])
def test_a_truncated_file_is_set_aside(left: int, two: Path) -> None:
    newest = two.with_suffix(".1.pt")
    newest.write_bytes(newest.read_bytes()[:left])
    said: list[str] = []
    assert step_of(two, said) == 1 and "bytes" in said[0]
    save(two, at(3), say=ignored)  # in place of the damaged one
    assert step_of(two) == 3
    flip(two.with_suffix(".1.pt"), random.Random(0))
    assert step_of(two) == 1


def test_a_lost_file_is_passed_over(two: Path) -> None:
    two.with_suffix(".1.pt").unlink()
    assert step_of(two) == 1


def test_a_manifest_that_names_other_files_is_not_followed(two: Path, tmp_path: Path) -> None:
    manifest = json.loads(two.with_suffix(".json").read_text())
    manifest["entries"][0]["name"] = "../elsewhere.pt"
    (tmp_path / "elsewhere.pt").write_bytes(two.with_suffix(".1.pt").read_bytes())
    two.with_suffix(".json").write_text(json.dumps(manifest))
    said: list[str] = []
    assert step_of(two, said) is None and "damaged" in said[0]
    assert (tmp_path / "elsewhere.pt").exists()


def test_whole_files_that_are_no_checkpoints_are_set_aside(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrladder.benchmark.training.checkpoints.FORMAT", 3)
    save(two, at(3), say=ignored)
    monkeypatch.undo()
    said: list[str] = []
    assert step_of(two, said) == 2 and "format" in said[0]


def test_the_last_file_of_a_run_stands_alone(two: Path) -> None:
    save(two, at(3), say=ignored, alone=True)
    assert {path.name for path in two.parent.iterdir()} == {"run.0.pt", "run.json"}
    assert step_of(two) == 3 and is_saved(two, say=ignored)


@pytest.mark.parametrize("after", range(6))
def test_a_power_cut_at_any_moment_of_writing_leaves_a_whole_checkpoint(after: int, two: Path) -> None:
    """Two files are written, each with fsync, rename and fsync of the folder."""
    with pytest.MonkeyPatch.context() as patch:
        lose = cut_power(patch, after)
        with pytest.raises(PowerCut):
            save(two, at(3), say=ignored)
    lose()
    assert step_of(two) == (3 if after == 5 else 2)


def interrupted(trial: Trial, corpus: Corpus, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Train with a checkpoint after every step until killed at step STOP."""
    steps, real = iter(range(STOP)), Loop._step

    def until_killed(self: Loop, lr: float, *, decaying: bool) -> None:
        if next(steps, None) is None:
            raise Killed
        real(self, lr, decaying=decaying)

    patch.setattr(Clock, "due", lambda self: True)
    patch.setattr(Loop, "_step", until_killed)
    with pytest.raises(Killed):
        train(trial, corpus, log=no_log, trunks=folder)


@pytest.mark.parametrize("num_damaged", [1, 2])
@pytest.mark.parametrize("changes", [CHANGES["wsd"], CHANGES["zero1"]], ids=["wsd", "zero1"])
def test_a_run_with_damaged_checkpoints_ends_with_the_same_numbers(
    changes: dict[str, Any], num_damaged: int, tmp_path: Path
) -> None:
    """One is damaged: it trains one step again. Both are: it trains from the start. The log names the files."""
    corpus, trial = tiny_corpus(tmp_path), tiny_trial(**changes)
    with pytest.MonkeyPatch.context() as patch:
        interrupted(trial, corpus, tmp_path, patch)
    newest = json.loads((tmp_path / f"{trial.trunk_id}.json").read_text())["entries"]
    for entry in newest[:num_damaged]:
        flip(tmp_path / entry["name"], random.Random(0))
    rows: list[dict[str, object]] = []
    found = train(trial, corpus, log=rows.append, trunks=tmp_path)
    assert [outcome(m) for m in found] == [outcome(m) for m in train(trial, corpus, log=no_log)]
    assert found[0].trained_tokens == trial.tokens
    assert sum("set aside" in str(row.get("note")) for row in rows) == num_damaged
    assert any("continued_from_tokens" in row for row in rows) == (num_damaged == 1)


def test_a_damaged_trunk_is_trained_anew_when_the_study_is_extended(tmp_path: Path) -> None:
    corpus, short, long = tiny_corpus(tmp_path), tiny_trial(horizons=(10 * BATCH,)), tiny_trial()

    def extended() -> tuple[list[TrialMeasurement], list[dict[str, object]]]:
        rows: list[dict[str, object]] = []
        return train(long, corpus, log=rows.append, trunks=tmp_path, keep=True), rows

    train(short, corpus, log=no_log, trunks=tmp_path, keep=True)
    flip(tmp_path / f"{short.trunk_id}.0.pt", random.Random(1))
    found, rows = extended()
    assert [outcome(m) for m in found] == [outcome(m) for m in train(long, corpus, log=no_log)]
    assert found[0].trained_tokens == long.tokens
    assert any("set aside" in str(row.get("note")) for row in rows)


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_the_plan_knows_the_size_of_a_checkpoint(changes: dict[str, Any], tmp_path: Path) -> None:
    """To the tenth that names, positions and the state of the watch take of a tiny one."""
    corpus, trial = tiny_corpus(tmp_path), tiny_trial(**changes)
    with pytest.MonkeyPatch.context() as patch:
        interrupted(trial, corpus, tmp_path, patch)
    stored = load(tmp_path / f"{trial.trunk_id if trial.schedule.has_trunk else trial.id}.pt", say=ignored)
    assert stored is not None and stored.now is not None
    tensors = (*stored.now.params, *(v for moments in stored.now.moments for v in moments.values()))
    assert sum(map(torch.Tensor.nbytes.__get__, tensors)) == pytest.approx(state_bytes(trial), rel=0.1)
