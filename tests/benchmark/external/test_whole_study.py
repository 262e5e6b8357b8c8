"""A whole study by `ask` and `tell` alone is the study that a trainer of our own would have made."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from typer.testing import CliRunner

from lrladder import ask, tell
from lrladder.benchmark.cli import app
from lrladder.benchmark.external.jobs import Job
from lrladder.benchmark.lab.executor import More, Outcome, no_more
from lrladder.benchmark.lab.external import TRAINER, ExternalLab
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.progress import Progress
from lrladder.benchmark.lab.register import Register
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.lab.trained import TrainedLab
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.regret.kind import REGRET
from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.benchmark.studies.results import Found, in_order
from lrladder.benchmark.studies.session import write_config
from lrladder.benchmark.studies.stored import load_results
from tests.benchmark.external.studies import begin, config_of, law, row_of
from tests.benchmark.lab.inline import until_no_more

NOT_OF_RUNS = {"corpus", "corpus_digest", "environment", "payer_seconds", "lab"}


class _Law:
    """An executor that answers at once. `training`: how it marks its measurements."""

    def __init__(self, training: Mapping[str, str]) -> None:
        self.training = training

    def run(self, trials: Sequence[Trial], more: More = no_more) -> Iterator[tuple[Trial, Outcome]]:
        for trial in until_no_more(trials, more):
            yield trial, [self._measured(trial, horizon) for horizon in trial.horizons]

    def _measured(self, trial: Trial, horizon: int) -> TrialMeasurement:
        loss = law(trial.shape.n_active, trial.lr, horizon, trial.seed)
        verdict, message = ("finished", "") if loss is not None else ("diverged", "its loss is nan")
        return TrialMeasurement.of(trial, horizon, verdict=verdict, loss=loss, training=self.training, message=message)


def directly(config: RegretConfig, folder: Path) -> dict[str, Any]:
    """The study as `run` makes it with a trainer that knows the law."""
    store = Store.open(folder, config_digest=config.digest, corpus_digest=config.lab.digest)
    progress = Progress(Console(quiet=True))
    lab = TrainedLab(config, config.lab.digest, store, _Law(TRAINER), progress, precision="fp32")
    study = REGRET.start(config, lab, on_stage=lambda stage: None)
    study.run()
    return of_runs(study.results(Found(in_order(lab.seen.values()))))


def of_runs(results: RegretResults) -> dict[str, Any]:
    """What follows from the runs alone."""
    data: dict[str, Any] = json.loads(results.to_json())
    return {key: value for key, value in data.items() if key not in NOT_OF_RUNS}


def test_ask_and_tell_give_the_study_that_the_law_gives(tmp_path: Path) -> None:
    config, folder = config_of("fitting", "mutransfer+power"), tmp_path / "study"
    rng, rounds = random.Random(0), 0
    jobs: Sequence[Job] = begin(folder, config)
    assert {"fitting", "mutransfer+power"} == {payer for job in jobs for payer in job.wanted_by}
    while jobs:
        rows = [row_of(job) for job in jobs]
        rng.shuffle(rows)
        if not rounds:  # some now, one of them failed at first; the others later
            first, rows = rows[:7], rows[5:]
            tell(folder, [{**first[0], "status": "crashed"}, *first[1:]])
            rows.append(first[0])
        jobs = tell(folder, rows).asked.jobs
        rounds += 1
    assert ask(folder) == []
    (tmp_path / "direct").mkdir()
    results = load_results(folder, REGRET)
    assert results.complete
    assert results.lab == "external"
    assert results.corpus["source"] == "trained elsewhere, on: our corpus v3"
    assert not results.environment
    assert all(m.expert_gemm is None and m.training == TRAINER for m in results.measurements)
    assert of_runs(results) == directly(config, tmp_path / "direct")
    assert any(m.verdict == "diverged" for m in results.measurements)
    names = (folder / "told.jsonl").read_text().splitlines()
    results_told = [json.loads(line)["name"] for line in names if json.loads(line)["verdict"] != "failed"]
    assert len(results_told) == len(set(results_told))


def test_a_longer_horizon_asks_for_the_new_readings_alone(tmp_path: Path) -> None:
    folder, known = tmp_path / "study", dict[str, str]()
    jobs: Sequence[Job] = begin(folder, config_of("mutransfer"))
    while jobs:
        known |= {job.name: job.trunk for job in jobs}
        jobs = tell(folder, [row_of(job) for job in jobs]).asked.jobs
    assert CliRunner().invoke(app, ["extend", str(folder), "--tokens", "65536"]).exit_code == 0
    jobs = ask(folder)
    assert jobs
    while jobs:  # in the rounds in which the sweeps were made
        assert {job.tokens for job in jobs} == {65536}
        assert {job.trunk for job in jobs} <= set(known.values())
        jobs = tell(folder, [row_of(job) for job in jobs]).asked.jobs
    assert load_results(folder, REGRET).complete


def _mixed(tmp_path: Path, *, trains: bool) -> Path:
    """A study whose proxies were trained here, or not yet, and whose targets are trained elsewhere."""
    config = config_of("mutransfer", lab={"kind": "external", "data": "theirs", "parts": ["target"]})
    folder = tmp_path / "mixed"
    folder.mkdir()
    write_config(config, folder)
    store = Store.open(folder, config_digest=config.digest, corpus_digest="ours")
    if trains:
        quiet, register = Progress(Console(quiet=True)), Register(folder)
        lab = ExternalLab(config, "ours", store, _Law({}), quiet, precision="fp32", lab=config.lab, register=register)
        REGRET.start(config, lab, on_stage=lambda stage: None).run()
    return folder


def test_proxies_here_and_targets_elsewhere(tmp_path: Path) -> None:
    folder = _mixed(tmp_path, trains=True)
    jobs = ask(folder)
    assert {job.rung for job in jobs} == {"t32x2", "t48x4"}
    while jobs:
        jobs = list(tell(folder, [row_of(job) for job in jobs]).asked.jobs)
    results = load_results(folder, REGRET)
    assert results.complete
    assert results.lab == "mixed"
    elsewhere = {m.rung for m in results.measurements if m.training == TRAINER}
    assert elsewhere == {"t32x2", "t48x4"}
    assert {m.rung for m in results.measurements if not m.training} == {"p16x2"}


def test_what_is_trained_here_comes_first(tmp_path: Path) -> None:
    taken = tell(_mixed(tmp_path, trains=False), [])
    assert taken.asked.jobs == ()
    assert taken.asked.open_here == 3
