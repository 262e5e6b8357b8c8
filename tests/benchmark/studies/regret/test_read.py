"""`read: ema` of an entry: its search alone is read without decays, cheaper, and everything else as ever."""

import json
from typing import Any

import pytest

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.resolve import resolve
from lrladder.benchmark.lab.simulated import SimulatedLab
from lrladder.benchmark.recommend.study import advise
from lrladder.benchmark.recommend.wanted import Wanted
from lrladder.benchmark.studies.kinds import kind_of, plan_of
from lrladder.benchmark.studies.regret.config import RegretConfig, load_config, parse_config
from lrladder.benchmark.studies.runner import run_on
from lrladder.paradigms.lab import Request
from lrladder.reports.regret import page
from tests.paths import TWO_TARGETS

CPU = load_config(TWO_TARGETS)
TRUTH = {"k": 50.0, "u": 0.4, "v": 0.3}
FITTING = {"paradigm": "fitting", "parametrization": "sp", "lr_guess": 0.016}


def config(**changes: Any) -> dict[str, Any]:
    entries = {"decay": FITTING, "ema": {**FITTING, "read": "ema"}}
    simulated = {"law": TRUTH, "bowl": {"noise_sd": 0.0}}
    return {**CPU.model_dump(mode="json"), "entries": entries, "simulated": simulated, **changes}


HALF_STEP = 2 ** (1 / 32) - 1  # of the lattice that trained proposals are moved to


def test_a_search_by_averages_finds_what_one_by_decays_finds_and_saves_the_decays() -> None:
    """In a simulation, whose law knows no reading."""
    study = RegretConfig.model_validate(config())
    lab = kind_of(study).simulated_lab(study)
    assert isinstance(lab, SimulatedLab)
    results = run_on(study, lab)
    assert results.complete
    for target in results.targets:
        assert target.paradigms[0].lr == target.paradigms[1].lr
        assert [any("average of the weights" in flag for flag in p.flags) for p in target.paradigms] == [False, True]
        assert list(target.oracle) == ["sp"]
        assert advise(results, Wanted("ema", target.rung)).lr == pytest.approx(target.paradigms[1].lr, rel=HALF_STEP)
    beyond = {"sizes": {"width": 64, "depth": 4}, "tokens": 10**6, "batch_tokens": 2048}
    assert advise(results, Wanted("ema", **beyond)).lr == advise(results, Wanted("decay", **beyond)).lr
    assert "sp+ema" in page.render(results)
    saved = 1 - lab.cost_flops("ema") / lab.cost_flops("decay")
    assert saved == pytest.approx(1 - 262_144 / (262_144 + 0.2 * 131_072), rel=0.02)
    planned = {p: sum(t.flops * t.runs for t in plan_of(study).trials if t.payer == p) for p in ("decay", "ema")}
    assert planned["ema"] / planned["decay"] == pytest.approx(1 - saved, rel=1e-6)


def test_the_arm_of_a_search_says_how_it_reads() -> None:
    study = RegretConfig.model_validate(config())
    assert list(study.arms) == ["sp", "sp+ema"] and study.labels == ("sp",)
    assert RegretConfig.model_validate(study.model_dump(mode="json")) == study
    assert "read" not in json.dumps(CPU.model_dump(mode="json")["entries"])  # so older folders keep their digest
    request = Request("p32x2", "sp+ema", 0.01, 0, (131_072, 262_144))
    (trial,) = resolve(request, study, corpus_digest="", precision="fp32")
    assert trial.schedule.read == "ema" and trial.tokens == 262_144


COSINE = {"c": {"kind": "cosine"}}
READ = "remove read here, or give it to an entry"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"validation": {"read": "ema"}}, READ),
        ({"schedule": {"warmup_tokens": 16384, "read": "ema"}}, READ),
        ({"entries": {"x": {**FITTING, "read": "mean"}}}, "entries.x.read: "),
        (
            {"entries": {"x": {**FITTING, "search_schedule": "c", "read": "ema"}}, "schedules": COSINE},
            "entries.x.read: a cosine schedule has no trunk whose weights could be averaged",
        ),
    ],
)  # fmt: skip
def test_a_reading_that_makes_no_sense_is_refused_in_one_line(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as error:
        parse_config(json.dumps(config(**changes)), source="f")
    assert said in str(error.value) and "\n" not in str(error.value)
