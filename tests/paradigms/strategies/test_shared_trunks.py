"""Horizons of one rung, LR and seed are one run with a trunk and branches, and are charged as that."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from lrladder.benchmark.lab.resolve import planned_flops, resolve
from lrladder.benchmark.lab.simulated import SimulatedLab
from lrladder.benchmark.lab.truth import TrueLaw
from lrladder.benchmark.studies.kinds import plan_of
from lrladder.benchmark.studies.regret.config import RegretConfig, load_config
from lrladder.benchmark.studies.regret.making import entry_lab, make_paradigm
from lrladder.paradigms.lab import Measurement, Request
from lrladder.paradigms.strategies.book import Block, merged

CPU = load_config("cpu")
SEARCH = {"parametrization": "sp", "lr_guess": 0.016, "seeds": [0]}
FITTED = {"rules": {"horizon": "fitted", "decay_horizon": "tau"}}
ENTRIES: dict[str, dict[str, Any]] = {
    "full": {"paradigm": "fitting", **SEARCH},
    "search_factor": {"paradigm": "fitting", "strategy": "search_factor", **SEARCH},
    "economy": {"paradigm": "fitting", "strategy": "economy", "budget": 4, **SEARCH},
    "active": {"paradigm": "fitting", "strategy": "active", "budget": 4, **SEARCH},
    "constant": {"paradigm": "constant", **SEARCH},
    "nearest_cell": {"paradigm": "nearest_cell", **SEARCH},
    "published": {"paradigm": "published", "law": "step_law", **SEARCH},
    "tpe": {"paradigm": "tpe", "parametrization": "sp", "lr_guess": 0.016},
    "random": {"paradigm": "random", "parametrization": "sp", "lr_guess": 0.016},
    "fitted": {"paradigm": "mutransfer", **SEARCH, "parametrization": "mup-fitted"},
}


class Log(SimulatedLab):
    """Remembers the calls."""

    calls_of: list[list[Request]]

    def measure(self, requests: Sequence[Request], *, payer: str) -> list[list[Measurement]]:
        self.calls_of = [*getattr(self, "calls_of", []), list(requests)]
        return super().measure(requests, payer=payer)


def config(name: str) -> RegretConfig:
    data = CPU.model_dump(mode="json")
    for rung in data["ladder"]["rungs"]:
        rung["horizons"] = [131_072, 262_144, 524_288]
    data["parametrizations"]["mup-fitted"] = FITTED
    return RegretConfig.model_validate({**data, "entries": {name: ENTRIES[name]}})


def searched(study: RegretConfig, name: str) -> Log:
    law = TrueLaw(k=50.0, u=0.4, v=0.3, mup_base=study.base.shape.n_active, mup_tokens=study.base.tokens)
    lab = Log(study.rungs, law, flops=partial(planned_flops, setup=study))
    paradigm = make_paradigm(study, name)
    paradigm.search(entry_lab(study, name, lab, paradigm), study.rungs)
    return lab


def trunk_and_branches(study: RegretConfig, request: Request) -> float:
    """FLOPs of one trunk to the last branch point, and of a decay over a fifth of each horizon, in whole batches."""
    rung = study.rungs.rung(request.rung)
    steps = [horizon // rung.batch_tokens for horizon in request.horizons]
    starts = [horizon * 4 // 5 for horizon in steps]
    decays = [horizon - start for horizon, start in zip(steps, starts, strict=True)]
    return float(rung.flops_per_token * rung.batch_tokens * (max(starts) + sum(decays)))


@pytest.mark.parametrize("name", ENTRIES)
def test_a_shared_trunk_is_asked_for_and_charged_once(name: str) -> None:
    study = config(name)
    lab = searched(study, name)
    for call in lab.calls_of:
        assert max(Counter((r.rung, r.lr, r.seed) for r in call).values()) == 1
    distinct = {request for call in lab.calls_of for request in call}
    assert lab.cost_flops(name) == pytest.approx(sum(trunk_and_branches(study, r) for r in distinct), rel=1e-9)
    for request in distinct:
        assert len(resolve(request, study, corpus_digest="", precision="fp32")) == 1


@pytest.mark.parametrize("name", ["full", "search_factor", "economy", "active", "constant", "fitted"])
def test_several_horizons_cost_less_than_each_by_itself(name: str) -> None:
    study = config(name)
    lab = searched(study, name)
    distinct = {request for call in lab.calls_of for request in call}
    rungs = {rung.name: rung for rung in study.rungs}
    alone = sum(rungs[r.rung].flops_per_token * horizon for r in distinct for horizon in r.horizons)
    assert lab.cost_flops(name) < 0.9 * alone


@pytest.mark.parametrize("name", ["full", "economy", "constant", "fitted"])
def test_the_plan_counts_a_shared_trunk_once(name: str) -> None:
    """The runs of the plan are those that the search begins with."""
    study = config(name)
    lab = searched(study, name)
    planned = [t for t in plan_of(study).trials if t.payer == name and not t.extension]
    first = {(r.rung, r.horizons): trunk_and_branches(study, r) for call in lab.calls_of for r in call}
    for trial in planned:
        assert first[trial.rung, trial.horizons] == pytest.approx(trial.flops, rel=1e-9)
    assert sum(t.flops * t.runs for t in planned) <= lab.cost_flops(name) * (1 + 1e-9)


def test_blocks_of_one_run_are_merged_and_others_are_not() -> None:
    blocks = [Block("a", (0.1, 0.2), (1,), 0), Block("a", (0.2, 0.4), (2,), 0), Block("a", (0.2,), (4,), 1)]
    assert merged([*blocks, Block("b", (0.2,), (1,), 0)]) == [
        Request("a", "sp", 0.1, 0, (1,)),
        Request("a", "sp", 0.2, 0, (1, 2)),
        Request("a", "sp", 0.4, 0, (2,)),
        Request("a", "sp", 0.2, 1, (4,)),
        Request("b", "sp", 0.2, 0, (1,)),
    ]


def test_the_search_for_a_fitted_exponent_shares_its_runs_with_a_parametrization_without_the_rule() -> None:
    data = config("fitted").model_dump(mode="json")
    data["parametrizations"]["mup-none"] = {"rules": {"horizon": "none", "decay_horizon": "none"}}
    data["entries"] = {name: {**ENTRIES["fitted"], "parametrization": name} for name in ("mup-fitted", "mup-none")}
    study = RegretConfig.model_validate(data)
    runs = [
        resolve(Request("p32x2", name, 0.01, 0, (131_072, 524_288)), study, corpus_digest="", precision="fp32")
        for name in ("mup-fitted", "mup-none")
    ]
    assert runs[0] == runs[1]
    for known in (-0.3, 0.0):  # an exponent sets each horizon's LR, and the decay of each is its own
        asked = Request("p32x2", "mup-fitted", 0.01, 0, (131_072, 524_288), known)
        assert len(resolve(asked, study, corpus_digest="", precision="fp32")) == 2
