"""The answer for one target on the first screen: LRs to set, who chose them, how sure that is, what would decide."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lrladder.benchmark.studies.regret.results import ParadigmResult, RegretResults, TargetResult
from lrladder.reports.formats import count, fixed, hours, lr, millinats
from lrladder.reports.regret.margin import Margin, margin
from lrladder.reports.regret.meanings import introduced, meanings


class RoleLr(NamedTuple):
    """A peak LR, and the roles that have it, in words."""

    roles: str
    lr: float


class Fact(NamedTuple):
    label: str
    text: str


class Answer(NamedTuple):
    """`entry` is None, and nothing but a sentence is there, while no proposal finished all its seeds."""

    target: TargetResult
    entry: ParadigmResult | None
    sentences: tuple[str, ...]
    lrs: tuple[RoleLr, ...] = ()
    facts: tuple[Fact, ...] = ()


def answers(results: RegretResults) -> list[Answer]:
    """Of each target. What a name stands for is said where it is used first."""
    found = [answer(results, target) for target in results.targets]
    texts = iter(introduced([text for each in found for text in each.sentences], meanings(results)))
    return [each._replace(sentences=tuple(next(texts) for _ in each.sentences)) for each in found]


def answer(results: RegretResults, target: TargetResult) -> Answer:
    """The answer for one target of a study."""
    entry = chosen(target)
    if entry is None:
        return Answer(target, None, ("No proposal finished all its seeds here, so there are no LRs to set yet.",))
    sentences = _of_winner(target, entry) if target.winner else _of_tie(target, entry)
    return Answer(target, entry, tuple(sentences), role_lrs(entry), tuple(_facts(results, target, entry)))


def _facts(results: RegretResults, target: TargetResult, entry: ParadigmResult) -> Iterator[Fact]:
    seconds = results.payer_seconds.get(entry.name)
    took = f"; its runs took {hours(seconds)}" if seconds else ""
    yield Fact("search cost", f"as much as {entry.cost_fraction:.3g} training runs at this target{took}")
    oracle = target.oracle.get(entry.parametrization)
    if entry.lr_regret is not None and oracle is not None:
        ends = "" if entry.lr_regret_low is None else f"{_milli_ends(entry)}; "
        inside = f"[{ends}n = {oracle.n_seeds} seeds]"
        yield Fact("LR regret", f"{millinats(entry.lr_regret)} {inside} millinats above the best LR of the sweep here")
    space = margin(results, target, entry)
    if space:
        yield Fact("divergence", margin_words(space))
    if target.winner is None and target.cheapest is not None:
        yield from _of_others(target, entry)


def _milli_ends(entry: ParadigmResult) -> str:
    return f"{millinats(entry.lr_regret_low)}, {millinats(entry.lr_regret_high)}"


def _of_others(target: TargetResult, entry: ParadigmResult) -> Iterator[Fact]:
    """Where nobody wins: who is as good, who is not, and what would decide."""
    tied = [p.name for p in target.paradigms if p.loss is not None and p.name not in (*target.behind, entry.name)]
    if tied:
        yield Fact("not measurably worse either", _named(tied))
    if target.behind:
        yield Fact("measurably worse", _named(target.behind))
    if told := [sentence.text for sentence in target.said if sentence.about == "next"]:
        yield Fact("next runs", " ".join(told))


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
    where = f"Train {target.rung} on {count(target.tokens)} tokens under `{entry.parametrization}`"
    return f"{where} with {lrs}, which `{entry.name}` chose"


def _of_winner(target: TargetResult, winner: ParadigmResult) -> Iterator[str]:
    rivals = [p for p in target.paradigms if p.loss is not None and not p.same_as(winner)]
    second = min(rivals, key=lambda p: p.loss or 0.0, default=None)
    if second is None:
        yield f"{_what(target, winner)}: no other entry finished all its seeds."
        return
    yield f"{_what(target, winner)}: the loss is {_lower(target, winner, second)}."
    yield _why(target, winner, second)


def _lower(target: TargetResult, first: ParadigmResult, second: ParadigmResult) -> str:
    """'0.036 nats lower than with `fitting`'s [0.023, 0.049; 3 seeds]'."""
    gap = (second.loss or 0.0) - (first.loss or 0.0)
    inside = [*_ends(target, first.name, second.name), f"{first.n_seeds} seeds"]
    return f"{fixed(gap, 3)} nats lower than with `{second.name}`'s [{'; '.join(inside)}]"


def _ends(target: TargetResult, first: str, second: str) -> list[str]:
    """The 90% interval of the second's loss minus the first's; empty where it is not known."""
    for d in target.differences:
        if d.low is not None and d.high is not None and {d.first, d.second} == {first, second}:
            low, high = (d.low, d.high) if d.first == first else (-d.high, -d.low)
            return [f"{fixed(low, 3)}, {fixed(high, 3)}"]
    return []


def _why(target: TargetResult, winner: ParadigmResult, second: ParadigmResult) -> str:
    """Whether the choice of the LR makes the difference, or the parametrization."""
    names = f"`{winner.parametrization}`", f"`{second.parametrization}`"
    worse = [p for p in (winner, second) if p.lr_regret_low is not None and p.lr_regret_low > 0]
    if names[0] == names[1]:
        return f"Both train under {names[0]}, so the whole gain is the choice of the LR."
    if any(p.lr_regret is None or p.lr_regret_low is None for p in (winner, second)):
        return "Whether the LR or the parametrization makes the difference is not known."
    if not worse:
        low = _minimum(target, winner) < _minimum(target, second)
        gain = f"the gain is {names[0]}'s" if low else "the runs do not tell where the gain comes from"
        return f"Neither way's LR is measurably worse than its own sweep's best; {gain}."
    lost = [f"`{p.name}`'s LR loses {_regret(target, p)} against the best LR of its own sweep" for p in worse]
    return f"{'; '.join(lost)} (nats)."


def _minimum(target: TargetResult, entry: ParadigmResult) -> float:
    oracle = target.oracle.get(entry.parametrization)
    return float("inf") if oracle is None or oracle.loss is None else oracle.loss


def _regret(target: TargetResult, p: ParadigmResult) -> str:
    n = f"{target.oracle[p.parametrization].n_seeds} seeds"
    return f"{fixed(p.lr_regret, 3)} [{fixed(p.lr_regret_low, 3)}, {fixed(p.lr_regret_high, 3)}; {n}]"


def _of_tie(target: TargetResult, entry: ParadigmResult) -> Iterator[str]:
    yield f"{_what(target, entry)}."
    done = [p for p in target.paradigms if p.loss is not None]
    if len(done) == 1:
        yield "It is the only entry that was scored, so nothing is compared."
        return
    best = min(done, key=lambda p: p.loss or 0.0)
    if target.cheapest is None:
        yield "Its loss is the lowest, but the noise between seeds is not known."
        return
    yield f"Nobody wins. {_how_good(target, entry, best)}"


def _how_good(target: TargetResult, entry: ParadigmResult, best: ParadigmResult) -> str:
    """Of the entry that is taken, beside the one of the lowest loss."""
    if entry.same_as(best):
        return f"`{entry.name}` has the lowest loss, and the cheapest search of those not measurably worse."
    inside = [*_ends(target, best.name, entry.name), f"{entry.n_seeds} seeds"]
    gap = fixed((entry.loss or 0.0) - (best.loss or 0.0), 3)
    above = f"{gap} nats above that of `{best.name}` [{'; '.join(inside)}]"
    return f"`{entry.name}` has the cheapest search of those that are not measurably worse: its loss is {above}."


def _named(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def margin_words(space: Margin) -> str:
    """How many octaves above the chosen LR runs begin to diverge, in words."""
    what = "diverged or had a spike of the loss" if space.spikes_judged else "diverged"
    if space.unstable is None:
        return f"no run {what} up to an LR {fixed(space.octaves, 1)} octaves higher, the highest that was run"
    if (octaves := fixed(abs(space.octaves), 1)) == "0.0":
        return f"a run {space.how} at this LR"
    if space.unstable < space.lr:
        return f"a run {space.how} already at an LR {octaves} octaves lower"
    return f"the lowest LR at which a run {space.how} is {fixed(space.octaves, 1)} octaves higher"
