"""Chooses the entry whose LR a study recommends if the user names none, from the results at the targets."""

from typing import NamedTuple

from lrladder.benchmark.studies.regret.results import RegretResults, TargetResult


class Choice(NamedTuple):
    """The chosen entry, the reason, and the other entries that were not measurably worse."""

    name: str
    why: str
    others: tuple[str, ...] = ()


def choose(results: RegretResults, *, rung: str | None = None, tokens: int | None = None) -> Choice | None:
    """The winner at a target, else the cheapest entry that is not measurably worse. None if there is neither.

    The target is the requested one if it belongs to the study, else the largest one, which is nearest to larger models.
    """
    decided = [target for target in results.targets if target.winner or target.cheapest]
    if not decided:
        return None
    here = [target for target in decided if (target.rung, target.tokens) == (rung, tokens)]
    target = here[0] if here else max(decided, key=lambda target: target.run_flops)
    place = f"at {target.rung} on {target.tokens:,} tokens"
    if target.winner:
        return Choice(target.winner, f"{target.winner} wins {place}{_elsewhere(decided, target)}")
    assert target.cheapest is not None
    others = tuple(p.name for p in target.paradigms if p.loss is not None and p.name not in _out(target))
    also = f"; the others are {', '.join(others)}" if others else ""
    why = f"nobody wins {place}, and {target.cheapest} has the cheapest search of those not measurably worse{also}"
    return Choice(target.cheapest, why + _elsewhere(decided, target), others)


def _out(target: TargetResult) -> set[str | None]:
    """The chosen entry, and the entries that are measurably worse."""
    return {target.cheapest, *target.behind}


def _elsewhere(decided: list[TargetResult], target: TargetResult) -> str:
    """The winners at other targets, if they differ. The choice then depends on the target."""
    named = target.winner or target.cheapest
    differ = [f"{t.winner} at {t.rung} on {t.tokens:,}" for t in decided if t.winner and t.winner != named]
    return f"; elsewhere win {', '.join(differ)}" if differ else ""
