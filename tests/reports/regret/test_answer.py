"""The first screen: what to set, who chose it, how sure one is, how far divergence is, and what would decide."""

import math

import pytest

from lrladder.benchmark.studies.regret.results import DifferenceResult, RegretResults, SaidResult, TargetResult
from lrladder.reports.formats import count
from lrladder.reports.regret.answer import answer, answers, chosen, margin_words, role_lrs
from lrladder.reports.regret.margin import Margin, margin
from lrladder.reports.regret.meanings import introduced, meanings
from lrladder.reports.regret.page import render
from tests.reports.regret.studies import simulated
from tests.reports.synthetic import build_results, empty_results

NEXT = "What would decide: 3 more seeds."


def tied(gap: float) -> TargetResult:
    """Nobody wins; muTransfer has the lower loss, and Fitting the cheaper search."""
    target = build_results().targets[0]
    fitting, transfer = target.paradigms
    cheap = fitting.model_copy(update={"loss": 3.41 + gap, "cost_flops": 1e9})
    said = (SaidResult(about="note", text="Something else."), SaidResult(about="next", text=NEXT))
    found = {"winner": None, "cheapest": "fitting", "paradigms": (cheap, transfer), "said": said}
    return target.model_copy(update=found)


def won(**changes: float) -> TargetResult:
    target = build_results().targets[0]
    fitting, transfer = target.paradigms
    known = {"first": "fitting", "second": "mutransfer", "value": -0.036, "low": -0.049, "high": -0.023}
    worse = fitting.model_copy(update={"loss": 3.446, **changes})
    update = {"paradigms": (worse, transfer), "differences": (DifferenceResult.model_validate(known),)}
    return target.model_copy(update=update)


def test_a_winner_is_said_with_its_lead_and_whose_it_is() -> None:
    found = answer(build_results(), won(lr_regret_low=-0.001))
    assert found.entry is not None and found.entry.name == "mutransfer"
    assert "0.036 nats lower than with `fitting`'s [0.023, 0.049; 2 seeds]" in found.sentences[0]
    lost = answer(build_results(), won(lr_regret=0.027, lr_regret_low=0.022, lr_regret_high=0.033))
    assert "`fitting`'s LR loses 0.027 [0.022, 0.033; 2 seeds]" in lost.sentences[1]


def test_a_gain_is_the_parametrizations_only_where_no_lr_is_measurably_worse() -> None:
    target = won(lr_regret_low=-0.001)
    transfer = target.paradigms[1].model_copy(update={"lr_regret_low": -0.001})
    target = target.model_copy(update={"paradigms": (target.paradigms[0], transfer)})
    assert "the gain is `mup`'s" in answer(build_results(), target).sentences[1]
    assert "gain is" not in answer(build_results(), won(lr_regret_low=0.001)).sentences[1]


def test_without_a_winner_the_cheapest_that_is_not_worse_is_taken() -> None:
    target = tied(0.004)
    found = answer(build_results(), target)
    assert chosen(target) is target.paradigms[0]
    assert "which `fitting` chose" in found.sentences[0]
    assert "Nobody wins. `fitting` has the cheapest search" in found.sentences[1]
    assert "0.004 nats above that of `mutransfer`" in found.sentences[1]
    facts = {fact.label: fact.text for fact in found.facts}
    assert facts["not measurably worse either"] == "`mutransfer`"
    assert facts["next runs"] == NEXT


def texts(target: TargetResult) -> tuple[str, ...]:
    return answer(build_results(), target).sentences


def test_the_sentences_of_a_winner_word_for_word() -> None:
    first, second = texts(won(lr_regret=0.027, lr_regret_low=0.022, lr_regret_high=0.033))
    assert first == (
        f"Train t96x3 on {count(262144)} tokens under `mup` with a peak LR of 0.0141 (before the rules), which "
        "`mutransfer` chose: the loss is 0.036 nats lower than with `fitting`'s [0.023, 0.049; 2 seeds]."
    )
    assert second == (
        "`mutransfer`'s LR loses 0.004 [0.001, 0.009; 2 seeds] against the best LR of its own sweep; `fitting`'s LR "
        "loses 0.027 [0.022, 0.033; 2 seeds] against the best LR of its own sweep (nats)."
    )


def with_arms(target: TargetResult, fitting: dict[str, object], transfer: dict[str, object]) -> TargetResult:
    one, two = target.paradigms
    paradigms = (one.model_copy(update=fitting), two.model_copy(update=transfer))
    return target.model_copy(update={"paradigms": paradigms})


FINE = {"lr_regret_low": -0.001}


def test_why_somebody_wins() -> None:
    same = with_arms(won(), {}, {"parametrization": "sp"})
    assert texts(same)[1] == "Both train under `sp`, so the whole gain is the choice of the LR."
    for unknown in ({"lr_regret": None}, {"lr_regret_low": None}):
        for which in ((unknown, FINE), (FINE, unknown)):
            assert texts(with_arms(won(), *which))[1].startswith("Whether the LR or the parametrization makes")
    level = won(**FINE)
    both = with_arms(level, FINE, FINE)
    assert texts(both)[1].endswith("best; the gain is `mup`'s.")
    higher = {name: o.model_copy(update={"loss": 3.0}) for name, o in both.oracle.items()}
    for oracle in (higher, {"mup": higher["mup"].model_copy(update={"loss": None}), "sp": higher["sp"]}, {}):
        told = texts(both.model_copy(update={"oracle": oracle}))[1]
        assert told.endswith("best; the runs do not tell where the gain comes from.")
    only = both.model_copy(update={"oracle": {"mup": higher["mup"]}})
    assert texts(only)[1].endswith("the gain is `mup`'s.")
    assert "Neither" in texts(with_arms(level, {"lr_regret_low": 0.0}, FINE))[1]


def test_a_lead_is_over_the_best_of_the_others_that_are_other_runs() -> None:
    target = won()
    fitting, transfer = target.paradigms
    twin = transfer.model_copy(update={"name": "twin"})
    third = fitting.model_copy(update={"name": "third", "lr": 0.5, "loss": 3.5})
    lost = fitting.model_copy(update={"name": "lost", "lr": 0.6, "loss": None})
    many = target.model_copy(update={"paradigms": (lost, third, twin, fitting, transfer)})
    assert "0.036 nats lower than with `fitting`'s [" in texts(many)[0]
    small = with_arms(target, {"loss": 1.75}, {"loss": 0.5})
    assert "1.250 nats lower than with `fitting`'s [" in texts(small)[0]
    far = target.model_copy(update={"paradigms": (third, transfer)})
    assert "0.090 nats lower than with `third`'s [2 seeds]" in texts(far)[0]  # no difference is stored
    alone = target.model_copy(update={"paradigms": (lost, twin, transfer)})
    assert len(texts(alone)) == 1 and texts(alone)[0].endswith(
        "which `mutransfer` chose: no other entry finished all its seeds."
    )


@pytest.mark.parametrize("ends", [(None, 0.02), (0.01, None)])
def test_half_an_interval_is_none(ends: tuple[float | None, float | None]) -> None:
    target = won()
    (known,) = target.differences
    half = known.model_copy(update={"low": ends[0], "high": ends[1]})
    assert "`fitting`'s [2 seeds]." in texts(target.model_copy(update={"differences": (half,)}))[0]
    other = known.model_copy(update={"second": "another"})
    assert "`fitting`'s [2 seeds]." in texts(target.model_copy(update={"differences": (other,)}))[0]
    turned = known.model_copy(update={"first": "mutransfer", "second": "fitting", "low": 0.023, "high": 0.049})
    assert "[0.023, 0.049; 2 seeds]." in texts(target.model_copy(update={"differences": (other, turned)}))[0]


def test_the_sentences_where_nobody_wins() -> None:
    target = tied(0.004)
    assert texts(target)[1] == (
        "Nobody wins. `fitting` has the cheapest search of those that are not measurably worse: its loss is 0.004 nats "
        "above that of `mutransfer` [2 seeds]."
    )
    best = target.model_copy(update={"cheapest": "mutransfer"})
    assert texts(best)[1] == (
        "Nobody wins. `mutransfer` has the lowest loss, and the cheapest search of those not measurably worse."
    )
    unknown = target.model_copy(update={"cheapest": None})
    assert chosen(unknown) is unknown.paradigms[1]
    assert texts(unknown)[1] == "Its loss is the lowest, but the noise between seeds is not known."
    alone = unknown.model_copy(update={"paradigms": target.paradigms[:1]})
    assert texts(alone)[1] == "It is the only entry that was scored, so nothing is compared."
    none = with_arms(unknown, {"loss": None}, {"loss": None})
    assert answer(build_results(), none).entry is None
    assert texts(none) == ("No proposal finished all its seeds here, so there are no LRs to set yet.",)


def facts(target: TargetResult, **changes: object) -> dict[str, str]:
    return {fact.label: fact.text for fact in answer(build_results(**changes), target).facts}


def test_the_facts_beside_an_answer() -> None:
    target = tied(0.004)
    fraction = target.paradigms[0].cost_fraction
    found = facts(target, payer_seconds={"fitting": 7200.0, "mutransfer": 1.0})
    assert found["search cost"].startswith(f"as much as {fraction:.3g} training runs at this target; its runs took 2")
    assert found["LR regret"] == "4.0 [1.0, 9.0; n = 2 seeds] millinats above the best LR of the sweep here"
    assert facts(target)["search cost"] == f"as much as {fraction:.3g} training runs at this target"
    without = with_arms(target, {"lr_regret_low": None}, {})
    assert facts(without)["LR regret"].startswith("4.0 [n = 2 seeds] millinats")
    assert "LR regret" not in facts(with_arms(target, {"lr_regret": None}, {}))
    assert "LR regret" not in facts(target.model_copy(update={"oracle": {}}))
    behind = target.model_copy(update={"behind": ("mutransfer",)})
    assert facts(behind)["measurably worse"] == "`mutransfer`"
    assert "not measurably worse either" not in facts(behind)
    for other in ({"winner": "mutransfer"}, {"cheapest": None}):
        assert "next runs" not in facts(target.model_copy(update=other))


def test_a_name_is_explained_where_it_is_used_first_and_only_there() -> None:
    told = introduced(["Take `a`, not `b`.", "`a`'s LR, and `c`."], {"a": "the first", "c": "the third"})
    assert told == ["Take `a` (the first), not `b`.", "`a`'s LR, and `c` (the third)."]
    known = meanings(simulated())
    assert set(known) >= {p.name for t in simulated().targets for p in t.paradigms} | {"sp", "mup"}
    texts = [text for each in answers(simulated()) for text in each.sentences]
    assert sum(f"({known['sp']})" in text for text in texts) <= 1
    assert any(f"({words})" in text for text in texts for words in known.values())
    assert meanings(build_results()) == {}  # of an older version


def test_roles_of_the_same_lr_share_a_row_and_none_is_lost() -> None:
    for target in simulated().targets:
        for entry in target.paradigms:
            assert entry.recipe is not None
            rows = role_lrs(entry)
            assert {row.lr for row in rows} == {s.lr for s in entry.recipe.settings}
            told = {role for row in rows for role in row.roles.split(", ")}
            assert {s.role.replace("_", " ") for s in entry.recipe.settings} <= told


def test_a_role_is_named_once_and_its_kinds_where_their_lrs_differ() -> None:
    entry = simulated().targets[0].paradigms[0]
    assert entry.recipe is not None
    plain = entry.recipe.settings[0]
    parts = [("attention", "attention_qkv", 0.1), ("attention", "attention_out", 0.2), ("head", "head", 0.3)]
    parts += [("expert_up", "expert_up", 0.1), ("norm", "norm_out", 0.3), ("norm", "norm_in", 0.3)]
    settings = [plain.model_copy(update={"role": role, "kind": kind, "lr": lr}) for role, kind, lr in parts]
    recipe = entry.recipe.model_copy(update={"settings": tuple(settings)})
    rows = role_lrs(entry.model_copy(update={"recipe": recipe}))
    assert rows == (("attention qkv, expert up", 0.1), ("attention out", 0.2), ("head, norm", 0.3))
    assert role_lrs(entry.model_copy(update={"recipe": None})) == ()


def test_the_margin_is_the_distance_to_the_lowest_lr_that_diverged() -> None:
    results = build_results()
    target = results.targets[0]
    fitting, transfer = target.paradigms
    found = margin(results, target, fitting)
    lost = min(m.lr for m in results.measurements if m.rung == target.rung and m.verdict == "diverged")
    assert found is not None and found.unstable == lost and found.octaves == pytest.approx(math.log2(lost / fitting.lr))
    safe = margin(results, target, transfer)
    assert safe is not None and safe.unstable is None and safe.highest == max(m.lr for m in results.measurements)


@pytest.mark.parametrize("results", [build_results(), empty_results(), simulated()], ids=["older", "empty", "new"])
def test_every_target_has_its_answer_on_the_page(results: RegretResults) -> None:
    html = render(results)
    assert html.count('class="answer"') == len(results.targets)
    assert html.count("peak LR to set") == sum(bool(answer(results, t).lrs) for t in results.targets)


@pytest.mark.parametrize(
    ("unstable", "said"),
    [
        (0.02, "the lowest LR at which a run diverged is 1.0 octaves higher"),
        (0.0101, "a run diverged at this LR"),
        (0.0099, "a run diverged at this LR"),
        (0.005, "a run diverged already at an LR 1.0 octaves lower"),
        (None, "no run diverged up to an LR 2.0 octaves higher, the highest that was run"),
        (0.0108, "the lowest LR at which a run diverged is 0.1 octaves higher"),
        (0.0092, "a run diverged already at an LR 0.1 octaves lower"),
    ],
)
def test_the_margin_in_words(unstable: float | None, said: str) -> None:
    assert margin_words(Margin(0.01, unstable, "diverged", 0.04, spikes_judged=False)) == said
