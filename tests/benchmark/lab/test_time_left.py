"""The time left: against the times of recorded studies, and against made-up ones whose paces are known."""

import heapq
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from lrladder.benchmark.lab.simulated import SimulatedLab
from lrladder.benchmark.lab.time_left import Foreseen, Item, TimeLeft, Work
from lrladder.benchmark.lab.truth import TrueLaw
from lrladder.benchmark.studies.kinds import load_study, plan_of
from lrladder.benchmark.studies.planner import works_of
from lrladder.benchmark.studies.runner import run_on
from lrladder.paradigms.lab import Measurement, Request
from tests.paths import ROOT

TIMES = ROOT / "tests" / "fixtures" / "times"
THE_LAST = 0.15  # share of a study: so near its end, one more extension of a sweep may be more than all that is left


class Ended(dict[str, Any]):
    """A run of a recorded study: `share` of its tokens, its `seconds` and `setup` seconds."""


def moments(calls: list[Any], real: dict[str, Ended], left: TimeLeft, workers: int) -> Iterator[tuple[float, float]]:
    """The clock and the time left at the end of each run, as the executor would train the calls, longest runs first."""
    clock = 0.0
    for call in calls:
        stored, runs = call["stored"], [((a, b), Foreseen(*run)) for a, b, *run in call["runs"]]
        left.ask(runs, stored=stored)
        if stored:
            continue
        waiting = sorted((run for _, run in runs), key=lambda run: run.seconds)
        busy: list[tuple[float, str]] = []
        by_id = {run.id: run for run in waiting}
        while waiting or busy:
            while waiting and len(busy) < workers:
                run = waiting.pop()
                heapq.heappush(busy, (clock + real[run.id]["seconds"], run.id))
            clock, key = heapq.heappop(busy)
            ended = real[key]
            left.finish(by_id[key], share=ended["share"], seconds=ended["seconds"] - ended["setup"])
            found = left.seconds
            assert found is not None
            yield clock, found


def ratios(moments_: list[tuple[float, float]]) -> list[float]:
    """Foreseen over real time left at each moment but THE_LAST of the study."""
    end = moments_[-1][0]
    return [left / (end - clock) for clock, left in moments_ if end - clock > THE_LAST * end]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", ["compiled", "smoke"])
def test_from_the_first_finished_run_on_the_time_left_is_within_a_factor_of_2(name: str, workers: int) -> None:
    """Recorded CPU seconds of each run of real studies, with those of the compiler: wall time where cores are idle.

    `compiled` has two proxies and one target of widths 32, 48 and 96, and 2 entries; its first runs compile for up to
    20 of 23 seconds.
    """
    found = json.loads((TIMES / f"{name}.json").read_text())
    planned = [Work((payer, name), width, seconds) for payer, name, width, seconds in found["planned"]]
    real = {key: Ended(ended) for key, ended in found["real"].items()}
    seen = list(moments(found["calls"], real, TimeLeft(planned, workers=workers), workers))
    assert len(seen) == len(real) > 20
    assert all(0.5 <= ratio <= 2 for ratio in ratios(seen)), ratios(seen)


@pytest.mark.parametrize("seed", range(20))
def test_it_is_exact_where_runs_take_what_the_model_says_times_one_factor(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stages: list[Item] = [("a", "sp"), ("b", "mup"), ("validation", "sp")]
    runs = {stage: [Foreseen(f"{stage}{i}", int(rng.choice([16, 32])), float(rng.uniform(1, 9))) for i in range(6)]
            for stage in stages}  # fmt: skip
    pace = float(rng.uniform(0.2, 20))
    real = {r.id: Ended(share=1.0, seconds=pace * r.seconds, setup=0.0) for of_one in runs.values() for r in of_one}
    calls = [{"stored": False, "runs": [(*stage, *run) for run in runs[stage]]} for stage in stages]
    planned = [Work(stage, run.width, run.seconds) for stage in stages for run in runs[stage]]
    for clock, left in moments(calls, real, TimeLeft(planned, workers=1), 1):
        assert clock + left == pytest.approx(sum(ended["seconds"] for ended in real.values()))


def run(key: str, seconds: float = 10.0) -> Foreseen:
    return Foreseen(key, 16, seconds)


def test_compilation_of_the_first_run_does_not_count_for_all() -> None:
    left = TimeLeft([Work(("a", "sp"), 16, 1000.0)], workers=1)
    left.ask([(("a", "sp"), run(str(i))) for i in range(100)], stored=False)
    left.finish(run("0"), share=1.0, seconds=5.0)  # of 65 s, without 60 s of compiling
    assert left.seconds == pytest.approx(99 * 5.0)


def test_stored_shared_and_unneeded_runs_are_taken_away_and_extensions_are_added() -> None:
    first, second = ("a", "sp"), ("b", "mup")
    left = TimeLeft([Work(first, 16, 60.0), Work(second, 16, 40.0)], workers=1)
    left.ask([(first, run("stored"))], stored=True)
    left.ask([(first, run("1")), (first, run("2"))], stored=False)
    left.finish(run("1"), share=1.0, seconds=10.0)
    assert left.seconds == pytest.approx(10 + 30 + 40)  # asked for, planned of this stage, planned of the next
    left.finish(run("2"), share=1.0, seconds=10.0)
    left.ask([(second, run("1"))], stored=True)  # shared; and the first stage needed no more
    assert left.seconds == pytest.approx(30)
    left.ask([(second, run(str(i))) for i in range(3, 9)], stored=False)
    assert left.seconds == pytest.approx(60)


def test_a_run_that_diverged_early_tells_the_pace_of_what_it_trained() -> None:
    left = TimeLeft([Work(("a", "sp"), 16, 20.0)], workers=1)
    left.ask([(("a", "sp"), run("1")), (("a", "sp"), run("2"))], stored=False)
    assert left.seconds is None
    left.finish(run("1"), share=0.1, seconds=2.0)
    assert left.seconds == pytest.approx(20.0)


@pytest.mark.parametrize("preset", ["smoke", "axes", "power"])
def test_a_plan_of_any_kind_has_the_work_of_all_its_stages(preset: str) -> None:
    study = load_study(preset)
    plan = plan_of(study)
    works = list(works_of(study, plan))
    assert math.fsum(work.seconds for work in works) == pytest.approx(plan.planned.worker_seconds)


class Stages(SimulatedLab):
    """Notes who asked and for which parametrization."""

    asked: set[Item]

    def measure(self, requests: Sequence[Request], *, payer: str) -> list[list[Measurement]]:
        self.asked |= {(payer, request.parametrization) for request in requests}
        return super().measure(requests, payer=payer)


@pytest.mark.parametrize("preset", ["smoke", "axes", "power"])
def test_a_study_comes_to_every_stage_of_its_plan(preset: str) -> None:
    """Else the work of that stage would be left to the end."""
    study = load_study(preset)
    lab = Stages(study.rungs, TrueLaw(k=0.03, u=0.0, v=0.0))
    lab.asked = set()
    run_on(study, lab)
    assert {work.item for work in works_of(study, plan_of(study))} <= lab.asked


def test_stages_at_the_same_time_are_all_left_until_each_payer_has_ended() -> None:
    """What a stage has not asked for counts until the last stage of its payer ends, in whatever order they ask."""
    left = TimeLeft([Work((payer, "sp"), 32, 20.0) for payer in ("before", "a", "b", "after")], workers=1)
    left.ask([(("before", "sp"), Foreseen("r0", 32, 20.0))], stored=False)
    left.finish(Foreseen("r0", 32, 20.0), share=1.0, seconds=20.0)
    assert left.seconds == pytest.approx(60)
    left.begin(["a", "b", "b"])
    left.ask([(("b", "sp"), Foreseen("r1", 32, 5.0))], stored=False)
    assert left.seconds == pytest.approx(60)  # of b, 15 more seconds are planned
    left.finish(Foreseen("r1", 32, 5.0), share=1.0, seconds=5.0)
    left.end("b")
    assert left.seconds == pytest.approx(55)
    left.end("b")
    assert left.seconds == pytest.approx(40)
    left.ask([(("a", "sp"), Foreseen("r2", 32, 20.0))], stored=False)
    left.finish(Foreseen("r2", 32, 20.0), share=1.0, seconds=20.0)
    left.end("a")
    assert left.seconds == pytest.approx(20)
