"""Who won at a target, in one sentence. The rule is in docs/results.md."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from lrladder.benchmark.studies.regret.results import OracleResult, ParadigmResult


class Difference(NamedTuple):
    """Loss of one paradigm minus that of another, nats; half width of its 90% interval, None if noise is unknown."""

    value: float
    half: float | None

    @property
    def significant(self) -> bool:
        return self.half is not None and abs(self.value) > self.half

    def __str__(self) -> str:
        text = f"{_milli(self.value)} millinats"
        if self.half is None:
            return text
        return f"{text} [{_milli(self.value - self.half)}, {_milli(self.value + self.half)}]"


def _milli(nats: float) -> str:
    return f"{1000 * nats:.1f}".replace("-", "\N{MINUS SIGN}")


def conclude(
    paradigms: Sequence[ParadigmResult],
    oracles: Mapping[str, OracleResult],
    difference: Callable[[ParadigmResult, ParadigmResult], Difference],
) -> tuple[str | None, str]:
    """The winner, None where there is none outside the seed noise, and the sentence that says so."""
    distinct = [p for i, p in enumerate(paradigms) if not any(p.same_as(other) for other in paradigms[:i])]
    winner, sentence = _compare(distinct if len(distinct) > 1 else paradigms, difference)
    notes = [f"{p.name} diverged in {p.diverged} of {p.diverged + p.n_seeds} seeds" for p in paradigms if p.diverged]
    notes += [f"{p.name} proposes what another does" for p in paradigms if p not in distinct and len(distinct) > 1]
    loose = [f"{name}: {oracle.status}" for name, oracle in oracles.items() if oracle.status != "interior"]
    if loose:
        notes.append(f"oracle not bracketed ({', '.join(loose)})")
    if winner is not None and all(_found_own_best(p) for p in paradigms if p.parametrization in oracles):
        notes.append(
            "each LR is within the noise of its own parametrization's best: the parametrization makes the difference"
        )
    return winner, "; ".join([sentence, *notes])


def _found_own_best(paradigm: ParadigmResult) -> bool:
    low, high = paradigm.lr_regret_low, paradigm.lr_regret_high
    return low is not None and high is not None and low <= 0 <= high


def _compare(
    paradigms: Sequence[ParadigmResult], difference: Callable[[ParadigmResult, ParadigmResult], Difference]
) -> tuple[str | None, str]:
    if not paradigms:
        return None, "no proposal has been scored"
    finished = sorted((p for p in paradigms if p.loss is not None), key=lambda p: p.loss or 0.0)
    if not finished:
        return None, "no proposal finished all its seeds"
    best = finished[0]
    if len(finished) == 1:
        if len(paradigms) == 1:
            return None, f"only {best.name} has been scored"
        return best.name, f"{best.name} wins: it alone finished all its seeds"
    rivals = [difference(best, other) for other in finished[1:]]
    n = f"n = {best.n_seeds} seeds"
    if all(rival.significant for rival in rivals):
        return best.name, f"{best.name} wins: {best.name} \N{MINUS SIGN} {finished[1].name} = {rivals[0]}, {n}"
    pair = [p for p in paradigms if p in finished[:2]]  # in the order of the study
    gap = difference(pair[0], pair[1])
    known = "no difference outside the seed noise" if gap.half is not None else "no winner, the seed noise is unknown"
    behind = [
        f"behind: {other.name} \N{MINUS SIGN} {best.name} = {rival._replace(value=-rival.value)}"
        for other, rival in zip(finished[1:], rivals, strict=True)
        if rival.significant
    ]
    return None, "; ".join([f"{known}: {pair[0].name} \N{MINUS SIGN} {pair[1].name} = {gap}, {n}", *behind])
