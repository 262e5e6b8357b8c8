"""Goals: answered for, never trained, and never scored."""

import re

import pytest

from lrladder.benchmark.config.text import read_preset
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.recommend.study import advise
from lrladder.benchmark.recommend.wanted import Wanted
from lrladder.benchmark.studies.kinds import plan_of
from lrladder.benchmark.studies.regret.config import RegretConfig, parse_config
from lrladder.benchmark.studies.regret.goal_notes import GOALS_ALONE
from lrladder.benchmark.studies.regret.making import entry_lab, make_paradigm
from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.benchmark.studies.runner import run_on
from lrladder.paradigms.lab import Request, largest_aim
from lrladder.reports.regret import page, summary
from tests.benchmark.studies.regret.test_study import Log

PRESET = read_preset("moe12b")


def aimed(text: str = PRESET, *, alone: bool = False) -> RegretConfig:
    """The ladder of moe12b, with its largest target as a goal; `alone`: without the other target."""
    text = text.replace("name: t1300m, part: target", "name: t1300m, part: goal")
    return parse_config(re.sub(r".*t500m.*\n", "", text) if alone else text, source="aimed")


def simulated(config: RegretConfig) -> Log:
    assert config.simulated is not None
    return Log(config.rungs, config.simulated.law_for(config.base), noise_sd=0.003)


def run(config: RegretConfig) -> tuple[RegretResults, Log]:
    lab = simulated(config)
    return run_on(config, lab), lab


@pytest.fixture(scope="module")
def results() -> RegretResults:
    return run(aimed())[0]


def test_a_goal_is_answered_for_and_never_trained() -> None:
    config = aimed(alone=True)
    results, lab = run(config)
    assert {request.rung for _, request in lab.asked} == {rung.name for rung in config.rungs.proxies}
    assert results.complete
    (goal,) = results.goals
    assert [answer.name for answer in goal.answers] == list(config.entries)
    for answer in goal.answers:
        assert answer.cost_fraction == pytest.approx(lab.cost_flops(answer.name) / goal.run_flops)
        assert answer.lr_low is not None and answer.lr_low < answer.lr < (answer.lr_high or 0)
        assert answer.recipe.lr == answer.lr


def test_a_goal_gets_the_answer_that_a_target_in_its_place_gets(results: RegretResults) -> None:
    """Not that of the lattice on which a target's runs are put to be shared."""
    held_out = run(parse_config(PRESET, source="moe12b"))[0].targets[-1]
    (goal,) = results.goals
    assert [(a.name, a.lr, a.lr_low) for a in goal.answers] == [
        (p.name, p.lr_proposed or p.lr, p.lr_low) for p in held_out.paradigms
    ]
    assert [target.rung for target in results.targets] == ["t500m"]


def test_goals_alone_have_no_verdict_and_say_so() -> None:
    results, _ = run(aimed(alone=True))
    assert results.targets == ()
    assert "goals alone" in summary.held(results).line
    html = page.render(results)
    assert "so it has no regret and no conclusion" in html
    assert html.index("attention qkv") < html.index('id="curves"')  # on the first screen
    assert GOALS_ALONE in plan_of(aimed(alone=True)).notes


def test_the_plan_prices_each_search_in_runs_of_the_goal(results: RegretResults) -> None:
    notes = " ".join(plan_of(aimed()).notes)
    for answer in results.goals[0].answers:
        assert f"{answer.name} {answer.cost_fraction:.2g}" in notes


def test_without_a_model_recommend_means_the_only_goal(results: RegretResults) -> None:
    answer = next(a for a in results.goals[0].answers if a.name == "fitting")
    advice = advise(results, Wanted(entry="fitting"))
    assert (advice.n_active, advice.lr) == (results.goals[0].n_active, answer.lr)
    assert advice.recipe == answer.recipe


def test_an_entry_that_cannot_answer_for_a_goal_stays_in_the_study() -> None:
    entry = "  random: {paradigm: random, parametrization: sp, lr_guess: 0.005, seed: 7}\nsimulated:"
    results, _ = run(aimed(PRESET.replace("simulated:", entry)))
    assert any(reason.startswith("random:") for reason in results.goals[0].silent)
    assert "random" in {p.name for p in results.targets[0].paradigms}
    assert results.complete


def test_budgets_are_counted_in_runs_of_the_largest_aim() -> None:
    config = aimed()
    aim = largest_aim(config.rungs)
    assert aim is not None and aim.name == "t1300m"
    assert config.longest_horizon < max(aim.horizons)  # no corpus must hold the tokens of a goal


def test_a_goal_must_be_larger_than_all_proxies() -> None:
    with pytest.raises(InputError, match=r"goal t1300m .* is not larger than"):
        aimed(PRESET.replace("width: 2048, depth: 25", "width: 640, depth: 8"))


def test_no_search_may_run_a_goal() -> None:
    config = aimed()
    lab = entry_lab(config, "fitting", simulated(config), make_paradigm(config, "fitting"))
    with pytest.raises(ValueError, match="never trained"):
        lab.measure([Request("t1300m", "sp", 0.01, 0, (max(config.rungs.rung("t1300m").horizons),))])
