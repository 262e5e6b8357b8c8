"""Writes the conclusion at a target: who wins, who chooses the LR best, and which arm has the lowest minimum.

The rule by which one entry is called better than another is in `decision.py` and docs/decision.md.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from lrladder.benchmark.studies.regret.results import OracleResult, ParadigmResult
from lrladder.benchmark.studies.regret.scoring.decision import Decision, decide, smallest_difference
from lrladder.benchmark.studies.regret.scoring.widths import Widths
from lrladder.paradigms.level import LEVEL

MINUS = "\N{MINUS SIGN}"


class Judgement(NamedTuple):
    """The fields of the same names in `TargetResult`, where each is explained."""

    winner: str | None
    behind: tuple[str, ...]
    cheapest: str | None
    smallest_difference: float | None
    conclusion: str


class Contest(NamedTuple):
    """The entries that finished all seeds, and the decision between them.

    Entries with the same runs are one competitor, which has the name of the first of them.
    """

    entries: dict[str, ParadigmResult]
    distinct: dict[str, ParadigmResult]  # one entry for each competitor
    decision: Decision

    def names(self, competitors: Sequence[str]) -> list[str]:
        """The names of all entries that share their runs with one of `competitors`, in the order of the study."""
        return [e.name for e in self.entries.values() if any(e.same_as(self.entries[name]) for name in competitors)]


def conclude(paradigms: Sequence[ParadigmResult], oracles: Mapping[str, OracleResult], widths: Widths) -> Judgement:
    """Decides between the entries at one target, and writes the sentences of the conclusion."""
    contest = _contest(paradigms, widths)
    winner, outcome = _outcome(paradigms, contest, widths)
    known = contest is not None and contest.decision.noise_known and len(contest.distinct) > 1
    behind = tuple(contest.names(contest.decision.behind)) if contest and not winner else ()
    cheapest = _cheapest(contest) if contest and known and not winner else None
    smallest = _smallest(contest, widths) if contest and known else None
    sentences = [*_choices(paradigms, oracles, widths), *_minima(oracles, widths)]
    sentences += [outcome, *_consequences(contest, cheapest, smallest), *_notes(paradigms, oracles, winner, widths)]
    return Judgement(winner, behind, cheapest, smallest, " ".join(f"{sentence}." for sentence in sentences))


def _contest(paradigms: Sequence[ParadigmResult], widths: Widths) -> Contest | None:
    """The contest between those that finished; None if none did."""
    entries = {p.name: p for p in paradigms if p.loss is not None}
    distinct: dict[str, ParadigmResult] = {}
    for entry in entries.values():
        if not any(entry.same_as(other) for other in distinct.values()):
            distinct[entry.name] = entry
    if not distinct:
        return None

    def half_width(first: str, second: str, level: float) -> float | None:
        return widths.entries(distinct[first], distinct[second], level)

    losses = {name: entry.loss for name, entry in distinct.items() if entry.loss is not None}
    return Contest(entries, distinct, decide(losses, half_width))


def _outcome(paradigms: Sequence[ParadigmResult], contest: Contest | None, widths: Widths) -> tuple[str | None, str]:
    if not paradigms:
        return None, "No proposal has been scored"
    if contest is None:
        return None, "No proposal finished all its seeds"
    order = [contest.distinct[name] for name in contest.decision.order]
    if len(contest.entries) == 1:
        if len(paradigms) == 1:
            return None, f"Only {order[0].name} has been scored, so nothing is compared"
        return order[0].name, f"{order[0].name} wins: no other entry finished all its seeds"
    n = f"n = {order[0].n_seeds} seeds"
    if contest.decision.winner is not None:
        return order[0].name, f"{order[0].name} wins: {_difference(order[0], order[1], widths)}, {n}"
    pair = [e for e in contest.entries.values() if e in order[:2] or len(order) == 1][:2]  # in the order of the study
    why = "the seed noise can explain the difference" if contest.decision.noise_known else "the seed noise is unknown"
    why = why if len(order) > 1 else "all that finished propose the same run"
    return None, f"Nobody wins, as {why}: {_difference(pair[0], pair[1], widths)}, {n}"


def _consequences(contest: Contest | None, cheapest: str | None, smallest: float | None) -> Iterator[str]:
    """Sentences for a target where nobody wins: which entry to take, which are as good, and which are worse."""
    if contest is None or cheapest is None:
        return
    decision = contest.decision
    best = contest.entries[decision.order[0]]
    price = f"its search cost as much as {contest.entries[cheapest].cost_fraction:.3g} training runs at the target"
    yield f"The cheapest entry that is not measurably worse than the best is {cheapest}: {price}"
    if others := [name for name in contest.names(decision.tied) if name != cheapest]:
        yield f"Not measurably worse either: {', '.join(others)}"
    if worse := contest.names(decision.behind):
        gaps = [f"{name} by {_milli((contest.entries[name].loss or 0.0) - (best.loss or 0.0))}" for name in worse]
        yield f"Measurably worse than {best.name}: {', '.join(gaps)} millinats"
    if smallest is not None:
        yield f"A lead of {_milli(smallest)} millinats over all others would have been found in 80% of such studies"


def _cheapest(contest: Contest) -> str:
    return min(contest.names(contest.decision.tied), key=lambda name: contest.entries[name].cost_flops)


def _smallest(contest: Contest, widths: Widths) -> float | None:
    """The lead that such studies find in 80%, with the largest noise of any difference to the best taken for all."""
    best, *rivals = (contest.distinct[name] for name in contest.decision.order)
    noise = max((widths.noise(best, rival) for rival in rivals), key=lambda noise: noise.sd or 0.0)
    return smallest_difference(noise, len(rivals))


def _choices(paradigms: Sequence[ParadigmResult], oracles: Mapping[str, OracleResult], widths: Widths) -> Iterator[str]:
    """For each arm: the LR regret of its entries, and which of them chose the LR best."""
    for name, oracle in oracles.items():
        own = [p for p in paradigms if p.parametrization == name and p.lr_regret is not None]
        contest = _contest(own, widths)
        if contest is None:
            continue
        found = [f"{p.name} {_interval(p.lr_regret or 0.0, p.lr_regret_low, p.lr_regret_high)}" for p in own]
        yield (
            f"LR regret under {name} (loss above the best LR of its own sweep): {', '.join(found)} millinats, "
            f"n = {oracle.n_seeds} seeds"
        )
        if len(contest.distinct) > 1 and contest.decision.noise_known:
            chooser = contest.decision.winner
            told = f"{chooser} chooses the LR best" if chooser else "the runs do not tell who chooses the LR best"
            yield f"Under {name} {told}"


def _minima(oracles: Mapping[str, OracleResult], widths: Widths) -> Iterator[str]:
    """Which arm has the lowest minimum, among those whose sweep has a fitted one. Nothing if fewer than two have."""
    losses = {name: o.loss for name, o in oracles.items() if o.loss is not None and o.status == "interior"}
    if len(losses) < 2:
        return
    decision = decide(losses, widths.minima)
    if not decision.noise_known:
        return
    best, *others = decision.order
    gaps = []
    for other in others:
        value, half = losses[other] - losses[best], widths.minima(best, other, LEVEL) or 0.0
        gaps.append(f"{other} {MINUS} {best} = {_interval(value, value - half, value + half)}")
    found = f"The oracle's sweeps find the lowest loss under {best}"
    told = found if decision.winner else "None of the oracle's sweeps has the lowest loss beyond the seed noise"
    yield f"{told}: {', '.join(gaps)} millinats, n = {oracles[best].n_seeds} seeds"
    if not decision.winner and decision.behind:
        yield f"Measurably higher than the lowest of them: {', '.join(decision.behind)}"


def _notes(
    paradigms: Sequence[ParadigmResult], oracles: Mapping[str, OracleResult], winner: str | None, widths: Widths
) -> Iterator[str]:
    for p in paradigms:
        if p.diverged:
            yield f"{p.name} diverged in {p.diverged} of {p.diverged + p.n_seeds} seeds"
    for i, p in enumerate(paradigms):
        if same := next((other for other in paradigms[:i] if p.same_as(other)), None):
            yield f"{p.name} proposes the same run as {same.name}, so they share one place"
    yield from _loose(oracles)
    compared = [p for p in paradigms if p.parametrization in oracles]
    lower = len({p.parametrization for p in compared}) > 1 and _lowest(oracles, widths)
    by = {p.name: p.parametrization for p in paradigms}
    if winner is not None and lower == by[winner] and all(_found_own_best(p) for p in compared):
        yield (
            "Every compared LR is within the noise of the best of its own parametrization, so the parametrization "
            "makes the difference"
        )


def _loose(oracles: Mapping[str, OracleResult]) -> Iterator[str]:
    """Sentences about oracles without a fitted minimum. A regret against these is too small by an unknown amount."""
    unfitted = [name for name, oracle in oracles.items() if oracle.status == "bracketed"]
    if unfitted:
        yield (
            f"The oracle's sweep brackets its minimum, but no parabola fits ({', '.join(unfitted)}), so its lowest run "
            "stands for the minimum and the true best may be lower"
        )
    loose = [f"{n}: {o.status}" for n, o in oracles.items() if o.status not in ("interior", "bracketed")]
    if loose:
        yield f"The oracle's sweep does not bracket its minimum ({', '.join(loose)}), so the true best may be lower"


def _lowest(oracles: Mapping[str, OracleResult], widths: Widths) -> str | None:
    """The arm whose minimum is measurably lower than that of every other arm; None if there is none."""
    losses = {name: o.loss for name, o in oracles.items() if o.loss is not None and o.status == "interior"}
    return decide(losses, widths.minima).winner if losses else None


def _found_own_best(paradigm: ParadigmResult) -> bool:
    low, high = paradigm.lr_regret_low, paradigm.lr_regret_high
    return low is not None and high is not None and low <= 0 <= high


def _difference(first: ParadigmResult, second: ParadigmResult, widths: Widths) -> str:
    """The loss of the first minus that of the second, in words, with its 90% interval."""
    value = (first.loss or 0.0) - (second.loss or 0.0)
    text = f"{first.name} {MINUS} {second.name} = "
    if first.same_as(second):
        return f"{text}{_milli(value)} millinats (the same runs)"
    half = widths.entries(first, second, LEVEL)
    if half is None:
        return f"{text}{_milli(value)} millinats"
    return f"{text}{_milli(value)} millinats [{_milli(value - half)}, {_milli(value + half)}]"


def _interval(value: float, low: float | None, high: float | None) -> str:
    return _milli(value) if low is None or high is None else f"{_milli(value)} [{_milli(low)}, {_milli(high)}]"


def _milli(nats: float) -> str:
    return f"{1000 * nats:.1f}".replace("-", MINUS)
