"""Who won at a target, and what is said of it. The rule is in docs/decision.md."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from lrladder.benchmark.studies.regret.results import NextRunsResult, OracleResult, ParadigmResult, SaidResult
from lrladder.benchmark.studies.regret.scoring import words
from lrladder.benchmark.studies.regret.scoring.decision import Decision, decide, smallest_difference
from lrladder.benchmark.studies.regret.scoring.next_runs import next_runs
from lrladder.benchmark.studies.regret.scoring.widths import Widths
from lrladder.paradigms.level import LEVEL


class Judgement(NamedTuple):
    """The fields of the same names in `TargetResult`, where each is explained."""

    winner: str | None
    behind: tuple[str, ...]
    cheapest: str | None
    smallest_difference: float | None
    next_runs: tuple[NextRunsResult, ...]
    said: tuple[SaidResult, ...]
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

    @property
    def order(self) -> list[ParadigmResult]:
        """The competitors, from the lowest loss up."""
        return [self.distinct[name] for name in self.decision.order]


def conclude(paradigms: Sequence[ParadigmResult], oracles: Mapping[str, OracleResult], widths: Widths) -> Judgement:
    """Decides between the entries at one target, and writes the sentences of the conclusion."""
    contest = _contest(paradigms, widths)
    winner, outcome = _outcome(paradigms, contest, widths)
    known = contest is not None and contest.decision.noise_known and len(contest.distinct) > 1
    behind = tuple(contest.names(contest.decision.behind)) if contest and not winner else ()
    cheapest = _cheapest(contest) if contest and known and not winner else None
    smallest = _smallest(contest, widths) if contest and known else None
    runs: tuple[NextRunsResult, ...] = ()
    if contest and cheapest:
        tied = [p for p in contest.order if p.name in contest.decision.tied]
        runs = next_runs(tied, contest.entries[cheapest], widths.noises)
    said = [*_about("choice", _choices(paradigms, oracles, widths)), *_about("minimum", _minima(oracles, widths))]
    said += _about("winner", [outcome, *_consequences(contest, cheapest, smallest)])
    said += _about("next", words.of_next_runs(runs, contest.entries if contest else {}))
    said += _about("note", _notes(paradigms, oracles, winner, widths))
    return Judgement(winner, behind, cheapest, smallest, runs, tuple(said), words.plain(said))


def _about(topic: words.Topic, sentences: Iterator[str] | Sequence[str]) -> Iterator[SaidResult]:
    return (SaidResult(about=topic, text=f"{text}.") for text in sentences)


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
    best, *rivals = contest.order
    if len(contest.entries) == 1:
        if len(paradigms) == 1:
            return None, f"Only `{best.name}` has been scored, so nothing is compared"
        return best.name, f"`{best.name}` wins: no other entry finished all its seeds"
    if not rivals:
        return None, f"Nobody wins, because all that finished propose the same run: {words.names(contest.entries)}"
    lead = words.lead(best, rivals[0], widths.entries(best, rivals[0], LEVEL))
    if contest.decision.winner is not None:
        return best.name, f"`{best.name}` wins: {lead}"
    why = "the seed noise can explain the lead" if contest.decision.noise_known else "the seed noise is unknown"
    return None, f"Nobody wins, because {why}: {lead}"


def _consequences(contest: Contest | None, cheapest: str | None, smallest: float | None) -> Iterator[str]:
    """Sentences for a target where nobody wins: which entry to take, which are as good, and which are worse."""
    if contest is None or cheapest is None:
        return
    best = contest.order[0]
    price = f"its search cost as much as {contest.entries[cheapest].cost_fraction:.3g} training runs at the target"
    others = [name for name in contest.names(contest.decision.tied) if name != cheapest]
    either = f". Not measurably worse either: {words.names(others)}" if others else ""
    yield f"The cheapest entry that is not measurably worse than the best is `{cheapest}`: {price}{either}"
    if worse := contest.names(contest.decision.behind):
        gaps = [f"`{name}` by {words.milli((contest.entries[name].loss or 0) - (best.loss or 0))}" for name in worse]
        yield f"Measurably worse than `{best.name}`: {', '.join(gaps)} millinats, n = {best.n_seeds} seeds"
    if smallest is not None:
        lead = f"{words.milli(smallest)} millinats"
        yield f"A lead of {lead} over all others would have been found in 80% of such studies"


def _cheapest(contest: Contest) -> str:
    return min(contest.names(contest.decision.tied), key=lambda name: contest.entries[name].cost_flops)


def _smallest(contest: Contest, widths: Widths) -> float | None:
    """By the widest noise of a difference from the best, as if all rivals were tied at it."""
    best, *rivals = contest.order
    noise = max((widths.noise(best, rival) for rival in rivals), key=lambda noise: noise.sd or 0.0)
    return smallest_difference(noise, len(rivals))


def _choices(paradigms: Sequence[ParadigmResult], oracles: Mapping[str, OracleResult], widths: Widths) -> Iterator[str]:
    """Within each parametrization: who chose the LR best, and each entry's LR above the best of its own sweep."""
    meaning = " (loss above the lowest of its own sweep)"  # once
    for name, oracle in oracles.items():
        own = [p for p in paradigms if p.parametrization == name and p.lr_regret is not None]
        contest = _contest(own, widths)
        if contest is None:
            continue
        told = ""
        if len(contest.distinct) > 1 and contest.decision.noise_known:
            chooser = contest.decision.winner
            who = f"`{chooser}` chooses the LR best" if chooser else "the runs do not tell who chooses the LR best"
            told = f"Under `{name}` {who}. "
        found = [f"`{p.name}` {words.interval(p.lr_regret or 0, p.lr_regret_low, p.lr_regret_high)}" for p in own]
        yield f"{told}LR regret under `{name}`{meaning}: {', '.join(found)} millinats, n = {oracle.n_seeds} seeds"
        meaning = ""


def _fitted(oracles: Mapping[str, OracleResult]) -> dict[str, float]:
    """The loss at each fitted minimum, by arm."""
    return {name: o.loss for name, o in oracles.items() if o.loss is not None and o.status == "interior"}


def _minima(oracles: Mapping[str, OracleResult], widths: Widths) -> Iterator[str]:
    """Which arm has the lowest minimum, among those whose sweep has a fitted one. Nothing if fewer than two have."""
    losses = _fitted(oracles)
    if len(losses) < 2:
        return
    decision = decide(losses, widths.minima)
    if not decision.noise_known:
        return
    best, *others = decision.order
    gaps = []
    for other in others:
        value, half = losses[other] - losses[best], widths.minima(best, other, LEVEL) or 0.0
        gaps.append(f"`{other}` {words.MINUS} `{best}` = {words.interval(value, value - half, value + half)}")
    found = f"The sweeps at the target find the lowest loss under `{best}`"
    told = found if decision.winner else "None of the sweeps at the target has the lowest loss beyond the seed noise"
    yield f"{told}: {', '.join(gaps)} millinats, n = {oracles[best].n_seeds} seeds"
    if not decision.winner and decision.behind:
        yield f"Measurably higher than the lowest of them: {words.names(decision.behind)}"


def _notes(
    paradigms: Sequence[ParadigmResult], oracles: Mapping[str, OracleResult], winner: str | None, widths: Widths
) -> Iterator[str]:
    for p in paradigms:
        if p.diverged:
            yield f"`{p.name}` diverged in {p.diverged} of {p.diverged + p.n_seeds} seeds"
    for i, p in enumerate(paradigms):
        if same := next((other for other in paradigms[:i] if p.same_as(other)), None):
            yield f"`{p.name}` proposes the same run as `{same.name}`, so they share one place"
    yield from words.of_loose(oracles)
    compared = [p for p in paradigms if p.parametrization in oracles]
    lower = len({p.parametrization for p in compared}) > 1 and _lowest(oracles, widths)
    by = {p.name: p.parametrization for p in paradigms}
    if winner is not None and lower == by[winner] and all(_found_own_best(p) for p in compared):
        yield (
            "Every compared LR is within the noise of the best of its own parametrization, so the parametrization "
            "makes the difference"
        )


def _lowest(oracles: Mapping[str, OracleResult], widths: Widths) -> str | None:
    """The arm whose minimum is measurably lower than that of every other arm; None if there is none."""
    losses = _fitted(oracles)
    return decide(losses, widths.minima).winner if losses else None


def _found_own_best(paradigm: ParadigmResult) -> bool:
    low, high = paradigm.lr_regret_low, paradigm.lr_regret_high
    return low is not None and high is not None and low <= 0 <= high
