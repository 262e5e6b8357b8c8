"""Parts of the sentences of a conclusion. Names stand in backticks, which a page shows as code."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from lrladder.benchmark.studies.regret.results import NextRunsResult, OracleResult, ParadigmResult, SaidResult
from lrladder.benchmark.studies.regret.scoring.next_runs import MOST_RUNS

MINUS = "\N{MINUS SIGN}"
Topic = Literal["choice", "minimum", "winner", "next", "note"]


def plain(said: Iterable[SaidResult]) -> str:
    """All sentences as one text, without backticks."""
    return " ".join(sentence.text for sentence in said).replace("`", "")


def names(of: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in of)


def milli(nats: float) -> str:
    return f"{1000 * nats:.1f}".replace("-", MINUS)


def interval(value: float, low: float | None, high: float | None) -> str:
    """In millinats; the interval is 90%."""
    return milli(value) if low is None or high is None else f"{milli(value)} [{milli(low)}, {milli(high)}]"


def lead(best: ParadigmResult, other: ParadigmResult, half: float | None) -> str:
    """By how much the loss of the best is lower, with its 90% interval."""
    gap = (other.loss or 0.0) - (best.loss or 0.0)
    ends = "" if half is None else f"{milli(gap - half)}, {milli(gap + half)}; "
    much = f"{milli(gap)} millinats lower than that of `{other.name}` [{ends}n = {best.n_seeds} seeds]"
    return f"the loss of `{best.name}` is {much}"


def of_next_runs(runs: Sequence[NextRunsResult], entries: Mapping[str, ParadigmResult]) -> Iterator[str]:
    """What would decide, or that it would take too many runs, which is said once."""
    for found in (found for i, found in enumerate(runs) if i == 0 or found.seeds is not None):
        best, *others = found.entries
        gaps = ", ".join(milli((entries[name].loss or 0.0) - (entries[best].loss or 0.0)) for name in others)
        whose = "its loss is" if len(others) == 1 else "their losses are"
        if found.seeds is None:
            yield (
                f"To tell `{best}` from {names(others)} would take more than {MOST_RUNS} runs at this target, because "
                f"{whose} only {gaps} millinats higher"
            )
            continue
        more = f"{found.seeds} more seed{'' if found.seeds == 1 else 's'} of each of {names(found.entries)}"
        whose = f"the loss of `{others[0]}` is" if len(others) == 1 else f"the losses of {names(others)} are"
        yield (
            f"What would decide: {more}, {found.seeds * len(found.entries)} runs at this target. If {whose} truly "
            f"{gaps} millinats higher, as measured, then 80% of such studies name `{best}`"
        )


def of_loose(oracles: Mapping[str, OracleResult]) -> Iterator[str]:
    """Sweeps at the target without a fitted minimum, of which regret is too small by an unknown amount."""
    unfitted = [name for name, oracle in oracles.items() if oracle.status == "bracketed"]
    if unfitted:
        yield (
            f"The oracle's sweep brackets its minimum, but no parabola fits ({names(unfitted)}), so its lowest run "
            "stands for the minimum and the true best may be lower"
        )
    loose = [f"`{n}`: {o.status}" for n, o in oracles.items() if o.n_lrs and o.status not in ("interior", "bracketed")]
    if loose:
        yield f"The oracle's sweep does not bracket its minimum ({', '.join(loose)}), so the true best may be lower"
    if unswept := [name for name, oracle in oracles.items() if not oracle.n_lrs]:
        yield f"The target has not been swept yet under {names(unswept)}, so the best LR there is not known"
