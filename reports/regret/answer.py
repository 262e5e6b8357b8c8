"""The answer for one target on the first screen: LRs to set, who chose them, how sure that is, what would decide."""

from collections.abc import Iterator
from typing import NamedTuple

from lrladder.benchmark.studies.regret.results import ParadigmResult, RegretResults, TargetResult
from lrladder.reports.drawing import paradigm_name, parametrization_name
from lrladder.reports.formats import count, fixed, lr, millinats
from lrladder.reports.regret.margin import Margin, margin
from lrladder.reports.regret.next_runs import MOST, next_runs


class RoleLr(NamedTuple):
    """A peak LR, and the roles that have it, in words."""

    roles: str
    lr: float


class Answer(NamedTuple):
    """The answer for one target. While no proposal has finished all its seeds, `entry` is None and `lrs` is empty."""

    target: TargetResult
    entry: ParadigmResult | None
    sentences: tuple[str, ...]
    lrs: tuple[RoleLr, ...] = ()
    margin: str = ""


def answer(results: RegretResults, target: TargetResult) -> Answer:
    """The answer for one target of a study."""
    entry = chosen(target)
    if entry is None:
        return Answer(target, None, ("No proposal finished all its seeds here, so there are no LRs to set yet.",))
    sentences = _of_winner(target, entry) if target.winner else _of_tie(target, entry)
    lrs = role_lrs(entry)
    space = margin(results, target, entry)
    return Answer(target, entry, tuple(sentences), lrs, margin_words(space) if space else "")


def chosen(target: TargetResult) -> ParadigmResult | None:
    """The winner, or else the cheapest entry that is not measurably worse, or else the entry with the lowest loss."""
    done = [p for p in target.paradigms if p.loss is not None]
    named = next((p for p in done if p.name in (target.winner, target.cheapest)), None)
    return named or min(done, key=lambda p: p.loss or 0.0, default=None)


def role_lrs(entry: ParadigmResult) -> tuple[RoleLr, ...]:
    """Peak LRs by role; kinds of parameters with the same LR share a row. Empty in results of an older version."""
    if entry.recipe is None:
        return ()
    rows: dict[float, list[str]] = {}
    for setting in entry.recipe.settings:
        names = rows.setdefault(setting.lr, [])
        role = setting.role.replace("_", " ")
        same_role = {s.lr for s in entry.recipe.settings if s.role == setting.role}
        name = role if len(same_role) == 1 else setting.kind.replace("_", " ")
        if name not in names:
            names.append(name)
    return tuple(RoleLr(", ".join(names), value) for value, names in rows.items())


def _what(target: TargetResult, entry: ParadigmResult) -> str:
    """The beginning of the first sentence."""
    lrs = "the LRs in this table" if entry.recipe else f"a peak LR of {lr(entry.lr)} (before the rules)"
    where = f"Train {target.rung} on {count(target.tokens)} tokens under {parametrization_name(entry.parametrization)}"
    return f"{where} with {lrs}, which {paradigm_name(entry.name)} chose"


def _of_winner(target: TargetResult, winner: ParadigmResult) -> Iterator[str]:
    rivals = [p for p in target.paradigms if p.loss is not None and not p.same_as(winner)]
    second = min(rivals, key=lambda p: p.loss or 0.0, default=None)
    if second is None:
        yield f"{_what(target, winner)}: no other entry finished all its seeds."
        return
    yield f"{_what(target, winner)}: the loss is {_lower(target, winner, second)}."
    yield _why(target, winner, second)


def _lower(target: TargetResult, first: ParadigmResult, second: ParadigmResult) -> str:
    """'0.036 lower than with Fitting's [0.023, 0.049; 3 seeds]'."""
    gap = (second.loss or 0.0) - (first.loss or 0.0)
    inside = [*_ends(target, first.name, second.name), f"{first.n_seeds} seeds"]
    return f"{fixed(gap, 3)} lower than with {paradigm_name(second.name)}'s [{'; '.join(inside)}]"


def _ends(target: TargetResult, first: str, second: str) -> list[str]:
    """The 90% interval of the second's loss minus the first's; empty where it is not known."""
    for d in target.differences:
        if d.low is not None and d.high is not None and {d.first, d.second} == {first, second}:
            low, high = (d.low, d.high) if d.first == first else (-d.high, -d.low)
            return [f"{fixed(low, 3)}, {fixed(high, 3)}"]
    return []


def _why(target: TargetResult, winner: ParadigmResult, second: ParadigmResult) -> str:
    """A sentence that says whether the LR or the parametrization makes the difference."""
    names = parametrization_name(winner.parametrization), parametrization_name(second.parametrization)
    worse = [p for p in (winner, second) if p.lr_regret_low is not None and p.lr_regret_low > 0]
    if names[0] == names[1]:
        return f"Both train under {names[0]}, so the whole gain is the choice of the LR."
    if any(p.lr_regret is None or p.lr_regret_low is None for p in (winner, second)):
        return "Whether the LR or the parametrization makes the difference is not known."
    if not worse:
        low = _minimum(target, winner) < _minimum(target, second)
        gain = f"the gain is {names[0]}'s" if low else "the runs do not tell where the gain comes from"
        return f"Neither way's LR is measurably worse than its own sweep's best; {gain}."
    lost = [f"{paradigm_name(p.name)}'s LR loses {_regret(p)} against the best LR of its own sweep" for p in worse]
    return f"{'; '.join(lost)} (nats)."


def _minimum(target: TargetResult, entry: ParadigmResult) -> float:
    oracle = target.oracle.get(entry.parametrization)
    return float("inf") if oracle is None or oracle.loss is None else oracle.loss


def _regret(p: ParadigmResult) -> str:
    return f"{fixed(p.lr_regret, 3)} [{fixed(p.lr_regret_low, 3)}, {fixed(p.lr_regret_high, 3)}]"


def _of_tie(target: TargetResult, entry: ParadigmResult) -> Iterator[str]:
    done = [p for p in target.paradigms if p.loss is not None]
    if len(done) == 1:
        yield f"{_what(target, entry)}. It is the only entry that was scored, so nothing is compared."
        return
    if target.cheapest is None:
        yield f"{_what(target, entry)}: its loss is the lowest, but the noise between seeds is not known."
        return
    yield f"{_what(target, entry)}: nobody wins, and no cheaper entry is as good within the noise between seeds."
    tied = [p.name for p in done if p.name not in target.behind and p.name != entry.name]
    parts = [f"Not measurably worse either: {_named(tied)}."] if tied else []
    parts += [f"Measurably worse: {_named(list(target.behind))}."] if target.behind else []
    if parts:
        yield " ".join(parts)
    yield from _would_decide(target)


def _named(names: list[str]) -> str:
    return ", ".join(paradigm_name(name) for name in names)


def _would_decide(target: TargetResult) -> Iterator[str]:
    found = next_runs(target)
    if found is None:
        return
    pair = f"{paradigm_name(found.first)} and {paradigm_name(found.second)}"
    gap = f"{millinats(found.difference)} millinats"
    if found.seeds is None:
        yield f"To tell {pair} apart, which differ by {gap}, would take more than {MOST} runs at this target."
        return
    more = f"{found.seeds} more seed{'' if found.seeds == 1 else 's'} of each of {pair}"
    yield (
        f"What would decide next: {more}, {found.n_runs} runs at this target. In 80% of studies they find a difference "
        f"as large as the one measured, {gap}."
    )


def margin_words(space: Margin) -> str:
    """How many octaves above the chosen LR runs begin to diverge, in words."""
    what = "diverged or had a spike of the loss" if space.spikes_judged else "diverged"
    if space.unstable is None:
        return f"no run {what} up to an LR {fixed(space.octaves, 1)} octaves higher, the highest that was run"
    if space.unstable <= space.lr:
        return f"a run {space.how} already at an LR {fixed(-space.octaves, 1)} octaves lower"
    return f"the lowest LR at which a run {space.how} is {fixed(space.octaves, 1)} octaves higher"
