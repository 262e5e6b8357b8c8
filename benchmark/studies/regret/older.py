"""Adds to results of an older version what would decide between entries, from their stored runs. Nothing is trained."""

from collections.abc import Iterator

from pydantic import ValidationError

from lrladder.benchmark import upgrade
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.regret.results import ParadigmResult, RegretResults, SaidResult, TargetResult
from lrladder.benchmark.studies.regret.scoring.near import target_noises
from lrladder.benchmark.studies.regret.scoring.next_runs import next_runs
from lrladder.benchmark.studies.regret.scoring.noise import Noises
from lrladder.benchmark.studies.regret.scoring.words import of_next_runs
from lrladder.paradigms.paradigm import Proposal


def with_next_runs(results: RegretResults) -> RegretResults:
    """The results, with `next_runs` where nobody wins and they say none. What they say already does not change.

    A config that this version cannot read leaves them as they are.
    """
    if not any(map(_lacks, results.targets)):
        return results
    try:
        config = RegretConfig.model_validate(upgrade.config(results.config))
    except ValidationError:
        return results
    noises = target_noises(config, results.measurements, list(_proposals(results)))
    return results.model_copy(
        update={"targets": tuple(_told(target, noises) if _lacks(target) else target for target in results.targets)}
    )


def _lacks(target: TargetResult) -> bool:
    return target.winner is None and target.cheapest is not None and not target.next_runs


def _proposals(results: RegretResults) -> Iterator[Proposal]:
    for target in results.targets:
        for found in target.paradigms:
            keys = set(Proposal.model_fields) & set(type(found).model_fields)
            place = {"paradigm": found.name, "rung": target.rung, "horizon": target.tokens}
            yield Proposal(**place, **found.model_dump(include=keys))


def _told(target: TargetResult, noises: Noises) -> TargetResult:
    entries = {p.name: p for p in target.paradigms if p.loss is not None}
    tied: list[ParadigmResult] = []
    for entry in sorted(entries.values(), key=lambda p: p.loss or 0.0):
        if entry.name not in target.behind and not any(entry.same_as(other) for other in tied):
            tied.append(entry)
    runs = next_runs(tied, entries[target.cheapest or ""], noises)
    before = target.said or (SaidResult(about="winner", text=target.conclusion),)
    said = tuple(SaidResult(about="next", text=f"{text}.") for text in of_next_runs(runs, entries))
    return target.model_copy(update={"next_runs": runs, "said": (*before, *said)}) if runs else target
