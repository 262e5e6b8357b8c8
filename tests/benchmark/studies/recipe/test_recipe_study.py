"""The search for a recipe on a known bowl: what it finds, what its brackets claim, and where it stops."""

import html
import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from statistics import fmean

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.recorder import Recorder
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.studies.kinds import load_study, plan_of
from lrladder.benchmark.studies.recipe.config import TuningConfig
from lrladder.benchmark.studies.recipe.curve import Curve
from lrladder.benchmark.studies.recipe.ingredients import changes_of, name_of
from lrladder.benchmark.studies.recipe.kind import TUNING
from lrladder.benchmark.studies.recipe.noise import Noise, pooled
from lrladder.benchmark.studies.recipe.results import IngredientResult, TuningResults
from lrladder.benchmark.studies.recipe.runs import Played
from lrladder.benchmark.studies.recipe.search import TOGETHER
from lrladder.benchmark.studies.results import Found
from lrladder.benchmark.studies.runner import run_on
from lrladder.benchmark.studies.session import write_config
from lrladder.benchmark.studies.tune import new_budget, tuning_of
from lrladder.paradigms.lab import Measurement, Request
from lrladder.reports.recipe.figures import NAMES
from lrladder.reports.recipe.page import render
from lrladder.reports.recipe.summary import held, sentences, show
from tests.benchmark.studies.recipe.bowl import BowlLab, octaves, tuning

BEST = {"embedding_lr": 5.0, "lr": 0.5, "embedding_std": 1.0}
# About what was measured at widths 32 to 96, nats per octave squared; an embedding and its std have a valley.
CURVATURE = {
    "embedding_lr": 0.015,
    "lr": 0.028,
    "embedding_std": 0.012,
    "head_lr": 0.02,
    "norm_lr": 0.007,
    "router_lr": 0.003,
    "weight_decay": 0.004,
    "beta2": 0.005,
}
VALLEY = -0.012
SALTS = range(10)


def bowl(salt: int = 0, config: TuningConfig | None = None, **changes: object) -> BowlLab:
    fields: dict[str, object] = {"best": BEST, "curvature": CURVATURE, "together": VALLEY, "salt": salt}
    return BowlLab(config or tuning(), **(fields | changes))  # type: ignore[arg-type]


@cache
def found(salt: int) -> TuningResults:
    return run_on(tuning(), bowl(salt))


def named(results: TuningResults, name: str) -> IngredientResult:
    return next(one for one in results.ingredients if one.name == name)


def in_octaves(results: TuningResults) -> dict[str, float]:
    return {name: octaves(name, value, results.old[name]) for name, value in results.new.items()}


@pytest.mark.parametrize("salt", SALTS)
def test_every_optimum_is_found_within_half_an_octave(salt: int) -> None:
    """Of what is told from the noise; an octave off costs as much as the noise of a run in router, decay and beta2."""
    results = found(salt)
    assert results.complete
    assert not results.stopped
    for name, at in in_octaves(results).items():
        within = 0.51 if CURVATURE[name] > 0.01 else 1.01
        assert abs(at - BEST.get(name, 0.0)) <= within, name
    assert bowl().loss(in_octaves(results)) - bowl().loss(BEST | dict.fromkeys(set(CURVATURE) - set(BEST), 0.0)) < 0.006


@pytest.mark.parametrize("salt", SALTS)
def test_brackets_are_what_they_claim(salt: int) -> None:
    """On both sides of the chosen value there is one whose mean is worse by more than two sds of the difference."""
    results = found(salt)
    for one in results.ingredients:
        if one.status != "bracketed":
            continue
        means = {point.value: point.loss for point in one.curve}
        assert results.noise is not None
        assert one.low is not None
        assert one.high is not None
        limit = 2 * results.noise * (2 / 2) ** 0.5  # of a difference of means over two seeds
        best = min(loss for loss in means.values() if loss is not None)
        assert all((loss := means[end]) is None or loss - best > 0.99 * limit for end in (one.low, one.high)), one.name
        low, at, high = (octaves(one.moves[0], value, one.old) for value in (one.low, one.chosen, one.high))
        assert low < at < high, one.name


def test_intervals_of_the_gain_and_of_what_each_is_worth_hold_the_truth() -> None:
    """The truth is that of the recipe which was found. Some 40 intervals of 90%; those of a study hang together."""
    hits = []
    for salt in SALTS:
        results, lab = found(salt), bowl()
        new = in_octaves(results)
        worths = {one.name: (one.worth, one.worth_low, one.worth_high) for one in results.ingredients}
        told = {name: worth for name, worth in worths.items() if worth[0] is not None}
        truths = {name: lab.loss(new | {name: 0.0}) - lab.loss(new) for name in told}
        told["all"] = (results.gain, results.gain_low, results.gain_high)
        truths["all"] = lab.loss(dict.fromkeys(new, 0.0)) - lab.loss(new)
        hits += [low < truths[name] < high for name, (_, low, high) in told.items()]  # type: ignore[operator]
        assert set(told) - {"all"} == {name for name, at in new.items() if at}
    assert fmean(hits) > 0.75


def test_the_last_figures_are_from_seeds_that_the_search_did_not_use() -> None:
    config, lab = tuning(), bowl()
    run_on(config, lab)
    by_seed = {seed: {(r.parametrization, r.lr) for r in lab.asked if r.seed == seed} for seed in range(10)}
    assert {seed for seed, settings in by_seed.items() if settings} == {*config.search_seeds, *config.fresh_seeds}
    results = found(0)
    changed = [name for name, value in results.new.items() if value != results.old[name]]
    assert all(len(by_seed[seed]) == 2 + len(changed) for seed in config.fresh_seeds)
    assert results.last_runs == 3 * (2 + len(changed))
    assert results.search_runs == sum(len(by_seed[seed]) for seed in config.search_seeds)
    assert results.flops == results.base_flops * (results.search_runs + results.last_runs)


@pytest.mark.parametrize("salt", SALTS)
def test_what_makes_no_difference_keeps_its_old_value(salt: int) -> None:
    flat = dict.fromkeys(("norm_lr", "router_lr", "weight_decay", "beta2"), 0.0)
    results = run_on(tuning(), bowl(salt, curvature=CURVATURE | flat))
    statuses = [named(results, name).status for name in flat]
    assert statuses.count("flat") >= len(flat) - 2  # two points in a hundred are off by two sds
    assert all(results.new[name] == results.old[name] for name in flat)
    assert all(named(results, name).worth is None for name in flat)


def test_a_flat_ingredient_that_starts_elsewhere_goes_back_unless_its_old_value_is_worse() -> None:
    flat = run_on(tuning(), bowl(curvature=CURVATURE | {"embedding_lr": 0.0}, together=0.0))
    assert flat.new["embedding_lr"] == flat.old["embedding_lr"]


def test_a_best_at_an_end_of_the_range_is_said() -> None:
    results = run_on(tuning(), bowl(best=BEST | {"head_lr": 8.0}))
    head = named(results, "head_lr")
    assert (head.status, head.chosen, head.high) == ("edge", 8.0, None)
    assert "head_lr (0 octaves)" in " ".join(sentences(results))


def test_divergence_closes_a_bracket() -> None:
    results = run_on(tuning(), bowl(diverges={"lr": 1.2}))
    lr = named(results, "lr")
    assert lr.status == "bracketed"
    assert any(point.loss is None and point.value == lr.high for point in lr.curve)


@pytest.mark.parametrize("budget", [1, 6, 20, 61])
def test_the_budget_is_kept_and_what_it_leaves_open_is_said(budget: int) -> None:
    config = tuning(budget=budget)
    lab = bowl(config=config)
    results = run_on(config, lab)
    searched = [request for request in lab.asked if request.seed in config.search_seeds]
    assert len(searched) == len(set(searched)) == results.search_runs <= budget
    assert "budget" in results.stopped
    assert results.complete
    assert any(one.status == "not reached" for one in results.ingredients)
    assert results.gain is not None
    certain, maximum = (totals.runs for totals in (plan_of(config).planned, plan_of(config).maximum))
    assert certain <= maximum
    assert results.search_runs + results.last_runs <= maximum


class Interrupted(BowlLab):
    """Stops like a Ctrl-C once so many runs were asked for."""

    after: int = 0

    def measure(self, requests: Sequence[Request], *, payer: str) -> list[list[Measurement]]:
        if len(self.asked) >= self.after:
            raise KeyboardInterrupt
        return super().measure(requests, payer=payer)


class Stored:
    """A lab that trains only what it does not hold."""

    def __init__(self, lab: BowlLab, held: Sequence[Measurement]) -> None:
        self.lab, self.held = lab, {(m.parametrization, m.lr, m.seed): m for m in held}

    def measure(self, requests: Sequence[Request], *, payer: str) -> list[list[Measurement]]:
        known = [self.held.get((r.parametrization, r.lr, r.seed)) for r in requests]
        return [[m] if m else self.lab.measure([r], payer=payer)[0] for r, m in zip(requests, known, strict=True)]

    def cost_flops(self, payer: str) -> float:
        return 0.0

    def flops(self, request: Request) -> float:
        return 0.0


@pytest.mark.parametrize("after", [1, 30, 90])
def test_an_interrupted_study_reports_what_it_has_and_goes_on_to_the_same_results(after: int) -> None:
    config = tuning()
    lab = Interrupted(config, BEST, CURVATURE, together=VALLEY)
    lab.after = after
    recorder = Recorder(lab)
    study = TUNING.start(config, recorder, lambda stage: None)
    with pytest.raises(KeyboardInterrupt):
        study.run()
    partial = study.results(Found(recorder.measurements))
    assert not partial.complete
    assert "not run yet" in partial.missing[0]
    assert partial == TUNING.assemble(config, Found(recorder.measurements))

    rest = bowl()
    whole = run_on(config, Stored(rest, recorder.measurements))
    assert not {(r.parametrization, r.lr, r.seed) for r in rest.asked} & {
        (m.parametrization, m.lr, m.seed) for m in recorder.measurements
    }
    assert whole.model_copy(update={"environment": {}}) == found(0).model_copy(update={"environment": {}})


def test_a_failed_run_leaves_the_study_incomplete() -> None:
    results = run_on(tuning(), bowl(fails=3))
    assert not results.complete
    assert "failed run" in results.missing[0]
    assert results.gain is None


@given(
    st.dictionaries(
        st.sampled_from(["embedding_lr", "embedding_std", "head_lr", "norm_lr", "router_lr", "weight_decay", "beta2"]),
        st.integers(-8, 8),
    )
)
def test_a_settings_name_says_all_that_differs(moved: dict[str, int]) -> None:
    config = tuning()
    ingredients = config.ingredients
    old = {name: one.old for name, one in ingredients.items()}
    inside = {name: max(ingredients[name].low, min(ingredients[name].high, k / 2)) for name, k in moved.items()}
    setting = old | {name: ingredients[name].value(k) for name, k in inside.items()}
    name = name_of(setting, old)
    assert old | changes_of(name) == setting
    held = config.recipe_of(name).model_dump() | config.optimizer_of(name).model_dump()
    assert all(held[key] == value for key, value in setting.items() if key != "lr")
    for key, k in inside.items():
        assert octaves(key, setting[key], old[key]) == pytest.approx(k, abs=1e-3)


def test_what_a_model_does_not_have_is_not_tuned() -> None:
    shape = tuning().start.shape.model_copy(update={"num_experts": 1, "top_k": 1})
    config = tuning(start=tuning().start.model_copy(update={"shape": shape}), optimizer={"weight_decay": 0.0})
    assert set(tuning().ingredients) - set(config.ingredients) == {"router_lr", "weight_decay"}
    assert set(TOGETHER) <= set(config.ingredients)


@given(
    setting=st.lists(st.floats(-1, 1), min_size=3, max_size=8),
    seed=st.lists(st.floats(-1, 1), min_size=2, max_size=4),
)
def test_levels_of_settings_and_seeds_are_no_noise(setting: list[float], seed: list[float]) -> None:
    assert pooled([[[4 + a / 10 + b for b in seed] for a in setting]]).sd == pytest.approx(0, abs=1e-9)


def test_unknown_noise_closes_nothing() -> None:
    curve = Curve({-1.0: (4.0,), 0.0: (3.9,), 1.0: (4.2,)}, -2, 2, Noise())
    assert curve.bracket == (None, None)
    assert curve.missing() == [-2, 2]
    assert curve.choice() == 0


@pytest.mark.parametrize("preset", ["cpu", "modules", "smoke", "gpu", "gpu30", "axes", "power"])
def test_a_presets_tuning_is_of_its_base_on_seeds_that_it_uses_for_nothing(preset: str) -> None:
    study = load_study(preset)
    config = tuning_of(study, budget=50)
    assert (config.base, config.corpus, config.optimizer) == (study.base, study.corpus, study.optimizer)
    assert (config.schedule, config.recipe, config.expert_backend) == (
        study.schedule,
        study.recipe,
        study.expert_backend,
    )
    assert config.budget == 50
    seeds = {*config.search_seeds, *config.fresh_seeds}
    assert len(seeds) == 5
    assert not seeds & set(_seeds_in(study.model_dump()))


def _seeds_in(data: object) -> list[int]:
    """Every seed that a config names."""
    if isinstance(data, dict):
        own = [seed for key, value in data.items() if key == "seeds" for seed in value]
        return own + [seed for value in data.values() for seed in _seeds_in(value)]
    return []


def test_what_trains_nothing_or_tunes_itself_is_refused() -> None:
    with pytest.raises(InputError, match="simulated"):
        tuning_of(load_study("moe12b"))
    with pytest.raises(InputError, match="lrladder run"):
        tuning_of(tuning())


def test_a_seed_is_for_one_use() -> None:
    with pytest.raises(ValueError, match="a seed is given twice"):
        tuning(fresh_seeds=(3, 4))


def test_played_again_nothing_is_asked_of_a_lab() -> None:
    results = found(0)
    again = TUNING.assemble(tuning(), Found(results.measurements, environment=results.environment))
    assert again == results
    assert Played(results.measurements).cost_flops("search") == 0


def test_a_budget_may_be_raised_where_a_study_is_and_nothing_else(tmp_path: Path) -> None:
    small, large = tuning(budget=6), tuning(budget=60)
    assert new_budget(tmp_path, large) is None
    write_config(small, tmp_path)
    Store.open(tmp_path, config_digest=small.digest, corpus_digest="c").close()
    assert new_budget(tmp_path, small) is None
    assert new_budget(tmp_path, tuning(budget=60, lr_guess=0.02)) is None
    with pytest.raises(InputError, match="another config"):
        Store.open(tmp_path, config_digest=large.digest, corpus_digest="c")
    change = new_budget(tmp_path, large)
    assert change is not None
    change()
    Store.open(tmp_path, config_digest=large.digest, corpus_digest="c").close()


def test_the_page_names_every_ingredient_and_is_the_same_every_time() -> None:
    results = found(0)
    page = render(results)
    assert page == render(results)
    for one in results.ingredients:
        assert NAMES[one.name] in html.unescape(page)
    assert results.fragment in html.unescape(page)
    assert yaml.safe_load(results.fragment)["recipe"]["embedding_lr"] == results.new["embedding_lr"]
    assert f"lr_guess: {results.new['lr']}" in results.fragment


@pytest.mark.parametrize("n", [0, 4, 9])
def test_a_study_that_has_hardly_begun_has_a_page_too(n: int) -> None:
    results = TUNING.assemble(tuning(), Found(found(0).measurements[:n]))
    assert "This report is partial" in render(results)
    assert held(results).complete is False
    console = Console(file=io.StringIO(), width=150)
    show(results, console)
    assert "not reached" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_slope_far_above_the_noise_is_not_flat_even_where_few_runs_are_near_the_best() -> None:
    """An LR that is three octaves off: the first points are nats apart, and all of them tell the noise."""
    config = tuning(budget=400)
    results = run_on(config, bowl(config=config, best=BEST | {"lr": 3.0}, curvature=CURVATURE | {"lr": 0.2}))
    assert named(results, "lr").status == "bracketed"
    assert octaves("lr", results.new["lr"], results.old["lr"]) == pytest.approx(3, abs=0.51)
