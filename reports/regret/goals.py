"""Shows the answers for goals: the LR of each kind of parameter with its interval, and the cost of the search."""

from typing import NamedTuple

from rich.console import Console

from lrladder.benchmark.studies.regret.goal_notes import GOALS_ALONE
from lrladder.benchmark.studies.regret.results import GoalAnswer, RegretResults
from lrladder.benchmark.tables import WordTable

UNSCORED = f"{GOALS_ALONE.capitalize()}."


class KindLr(NamedTuple):
    """The LR of one kind of parameter, for a model without multipliers.

    Its interval is that of the study's LR, scaled by the ratio of the two LRs.
    """

    kind: str
    lr: float
    low: float | None
    high: float | None


def kind_lrs(answer: GoalAnswer) -> list[KindLr]:
    """The LR of each kind of parameter."""
    low, high = ((end / answer.lr if end is not None else None) for end in (answer.lr_low, answer.lr_high))
    return [
        KindLr(s.kind, s.lr, None if low is None else s.lr * low, None if high is None else s.lr * high)
        for s in answer.recipe.folded().settings
    ]


def is_unscored(results: RegretResults) -> bool:
    """Whether the study has goals and no target."""
    return bool(results.goals) and not results.targets


def show_goals(results: RegretResults, console: Console) -> None:
    """Print a table with a row for each goal and entry, and then the LRs of each kind of parameter."""
    heads = ("goal", "entry", "tokens", "study's LR", "search cost, goal runs", "FLOPs beyond the search")
    table = WordTable(f"{results.preset}: goals, which are never trained [90% interval]", heads, left=2)
    for goal in results.goals:
        for a in goal.answers:
            cost, far = f"{a.cost_fraction:.3g}", f"{a.extrapolation:.3g}x"
            table.add_row(goal.rung, a.name, f"{goal.tokens:,}", _lr(a.lr, a.lr_low, a.lr_high), cost, far)
    console.print(table)
    for goal in results.goals:
        for a in goal.answers:
            lrs = ", ".join(f"{k.kind} {_lr(k.lr, k.low, k.high)}" for k in kind_lrs(a))
            console.print(f"{goal.rung}, {a.name}: {lrs}", highlight=False, markup=False)
        for reason in goal.silent:
            console.print(f"{goal.rung}: no answer of {reason}", highlight=False, markup=False)


def _lr(lr: float, low: float | None, high: float | None) -> str:
    return f"{lr:.3g}" if low is None or high is None else f"{lr:.3g} [{low:.3g}, {high:.3g}]"
