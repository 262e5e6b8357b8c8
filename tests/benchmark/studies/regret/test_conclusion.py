"""What is said of a target: who is named, who is not, and what to take where nobody wins."""

from collections.abc import Mapping
from typing import NamedTuple

import pytest

from lrladder.benchmark.studies.regret.results import OracleResult, ParadigmResult
from lrladder.benchmark.studies.regret.scoring.components import Components
from lrladder.benchmark.studies.regret.scoring.conclusion import Judgement, conclude
from lrladder.benchmark.studies.regret.scoring.means import Mean
from lrladder.benchmark.studies.regret.scoring.noise import Noises
from lrladder.benchmark.studies.regret.scoring.oracle import Oracle
from lrladder.benchmark.studies.regret.scoring.widths import Widths
from lrladder.paradigms.sweep.curve import Curve
from lrladder.paradigms.sweep.noise import Noise

SEEDS, SD = 3, 0.006
NEAR = Components(SD**2, 24, 0.0, 4)


class Entry(NamedTuple):
    loss: float | None  # millinats above 3 nats; None: diverged
    parametrization: str = "sp"
    cost: float = 1.0
    lr: float | None = None  # None: one of its own


def result(name: str, entry: Entry, place: int) -> ParadigmResult:
    lr = 0.01 * 1.001**place if entry.lr is None else entry.lr
    loss = None if entry.loss is None else 3 + entry.loss / 1000
    regret = None if loss is None else loss - 3
    return ParadigmResult.model_validate(
        {
            **dict.fromkeys(("regret", "regret_low", "regret_high", "parametrization_gap")),
            "name": name,
            "parametrization": entry.parametrization,
            "lr": lr,
            "lr_low": lr,
            "lr_high": lr,
            "extrapolation": 1.0,
            "loss": loss,
            "n_seeds": SEEDS if loss else SEEDS - 1,
            "diverged": int(not loss),
            "lr_regret": regret,
            "lr_regret_low": regret and regret - 0.01,
            "lr_regret_high": regret and regret + 0.01,
            "cost_flops": entry.cost,
            "cost_fraction": entry.cost,
        }
    )


def sweep(name: str, loss: float) -> Oracle:
    found = OracleResult(
        lr=0.01, lr_low=None, lr_high=None, loss=loss, status="interior", n_lrs=4, n_seeds=SEEDS, cost_flops=8.0
    )
    mean = Mean(loss, SEEDS, {(0.01, seed): 1 / SEEDS for seed in range(SEEDS)})
    return Oracle(name, found, Curve("interior", 4), {(name, 0.01): 1.0}, {0.01: mean})


def judged(
    entries: Mapping[str, Entry], *, minima: Mapping[str, float] | None = None, near: Components = NEAR
) -> Judgement:
    oracles = {name: sweep(name, loss) for name, loss in (minima or {"sp": 3.0, "mup": 3.0}).items()}
    widths = Widths(Noises(Noise(SD, 24), near, near, {}), oracles)
    scored = [result(name, entry, i) for i, (name, entry) in enumerate(entries.items())]
    return conclude(scored, {name: oracle.result for name, oracle in oracles.items()}, widths)


def test_the_one_that_beats_all_wins_and_nobody_else_is_called_anything() -> None:
    found = judged({"a": Entry(20), "b": Entry(0), "c": Entry(14)})
    assert (found.winner, found.behind, found.cheapest) == ("b", (), None)
    assert "b wins: the loss of b is 14.0 millinats lower than that of c [" in found.conclusion
    assert found.next_runs == ()


def test_where_nobody_wins_the_cheapest_that_is_not_worse_is_named_and_so_are_the_others() -> None:
    found = judged({"dear": Entry(0, cost=9), "cheap": Entry(4, cost=0.25), "bad": Entry(40, cost=0.1), "c": Entry(3)})
    assert (found.winner, found.behind, found.cheapest) == (None, ("bad",), "cheap")
    assert (
        "The cheapest entry that is not measurably worse than the best is cheap: its search cost as much as 0.25"
        in found.conclusion
    )
    assert "Not measurably worse either: dear, c." in found.conclusion
    assert "Measurably worse than dear: bad by 40.0 millinats, n = 3 seeds." in found.conclusion
    assert found.smallest_difference is not None
    assert f"A lead of {1000 * found.smallest_difference:.1f} millinats over all others" in found.conclusion


def test_two_names_of_the_same_runs_are_one_competitor_and_share_its_place() -> None:
    twins = {"a": Entry(0, lr=0.02, cost=5), "b": Entry(12, cost=2), "twin": Entry(0, lr=0.02, cost=1)}
    assert judged(twins).winner == "a"
    assert judged(twins).smallest_difference == judged({"a": Entry(0), "b": Entry(12)}).smallest_difference
    assert "twin proposes the same run as a, so they share one place." in judged(twins).conclusion
    tied = judged({**twins, "b": Entry(1, cost=2)})
    assert (tied.winner, tied.cheapest) == (None, "twin")
    behind = judged({"a": Entry(50, lr=0.02), "twin": Entry(50, lr=0.02), "b": Entry(0), "c": Entry(1)})
    assert behind.behind == ("a", "twin")


def test_who_chooses_best_uses_no_interaction_and_who_wins_does() -> None:
    entries = {"a": Entry(0, "sp"), "b": Entry(13, "sp"), "c": Entry(13, "mup"), "d": Entry(0, "mup")}
    wild = judged(entries, near=NEAR._replace(interaction=0.05**2))
    assert "Under sp a chooses the LR best. LR regret under sp (loss above the lowest of its own" in wild.conclusion
    assert "Under mup d chooses the LR best." in wild.conclusion
    assert (wild.winner, wild.behind) == (None, ())
    apart = judged({"a": Entry(0, "sp"), "b": Entry(13, "mup")})
    assert apart.winner == "a"
    assert judged({"a": Entry(0, "sp"), "b": Entry(13, "mup")}, near=NEAR._replace(interaction=0.05**2)).winner is None


def test_the_lower_minimum_is_named_only_outside_the_noise() -> None:
    entries = {"a": Entry(0, "mup"), "b": Entry(30, "sp")}
    assert (
        "The sweeps at the target find the lowest loss under mup: sp \N{MINUS SIGN} mup = 30.0 ["
        in judged(entries, minima={"sp": 3.03, "mup": 3.0}).conclusion
    )
    same = judged(entries, minima={"sp": 3.002, "mup": 3.0}).conclusion
    assert (
        "None of the sweeps at the target has the lowest loss beyond the seed noise: sp \N{MINUS SIGN} mup = 2.0 ["
        in same
    )
    assert "Measurably higher than the lowest of them" not in same


def test_a_minimum_that_is_measurably_higher_is_said_where_two_others_are_level() -> None:
    entries = {"a": Entry(0, "mup"), "b": Entry(0, "sp"), "c": Entry(90, "mup+power")}
    three = judged(entries, minima={"sp": 3.002, "mup": 3.0, "mup+power": 3.09}).conclusion
    assert "None of the sweeps at the target has the lowest loss beyond the seed noise" in three
    assert "Measurably higher than the lowest of them: mup+power." in three


def test_an_unknown_noise_names_nobody_and_recommends_nobody() -> None:
    found = judged({"a": Entry(0), "b": Entry(90)}, near=Components(None, 0, 0.0, 0))
    assert (found.winner, found.behind, found.cheapest, found.smallest_difference) == (None, (), None, None)
    assert "Nobody wins, because the seed noise is unknown: the loss of a is 90.0 millinats lower" in found.conclusion
    assert found.next_runs == ()


def test_a_diverged_entry_cannot_win_and_one_that_alone_finished_does() -> None:
    assert judged({"a": Entry(None), "b": Entry(5)}).winner == "b"
    both = judged({"a": Entry(None), "b": Entry(5), "c": Entry(6)})
    assert both.winner is None
    assert "a diverged in 1 of 3 seeds" in both.conclusion


@pytest.mark.parametrize("parametrization", ["sp", "mup"])
def test_one_alone_wins_nothing(parametrization: str) -> None:
    found = judged({"a": Entry(0, parametrization)})
    assert (found.winner, found.cheapest, found.smallest_difference) == (None, None, None)
    assert "Only a has been scored" in found.conclusion


def test_every_sentence_has_its_topic_and_the_text_is_all_of_them_without_marks() -> None:
    found = judged({"dear": Entry(0, cost=9), "cheap": Entry(4, cost=0.25), "bad": Entry(40, "mup")})
    topics = [sentence.about for sentence in found.said]
    assert topics == sorted(topics, key=["choice", "minimum", "winner", "next", "note"].index)
    assert {"choice", "minimum", "winner", "next"} <= set(topics)
    assert " ".join(sentence.text for sentence in found.said).replace("`", "") == found.conclusion
    named = {part for sentence in found.said for part in sentence.text.split("`")[1::2]}
    assert named == {"dear", "cheap", "bad", "sp", "mup"}
