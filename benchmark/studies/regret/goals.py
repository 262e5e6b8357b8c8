"""The answers of a regret study for its goals, models that it never trains. So the answers have no score."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from lrladder.benchmark.ladder import Rung
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.regret.results import GoalAnswer, GoalResult
from lrladder.paradigms.extrapolation import CHECKED, unchecked
from lrladder.paradigms.paradigm import Proposal


class Answer(NamedTuple):
    """What one entry answers for one goal at one horizon. Without a proposal, `reason` says why there is none."""

    entry: str
    rung: str
    horizon: int
    proposal: Proposal | None = None
    reason: str = ""


def goal_results(config: RegretConfig, answers: Sequence[Answer], payers: Mapping[str, float]) -> Iterator[GoalResult]:
    """The result of each goal at each horizon. `payers` has the FLOPs charged to each payer."""
    for rung in config.rungs.goals:
        for horizon in rung.horizons:
            own = [a for a in answers if (a.rung, a.horizon) == (rung.name, horizon)]
            yield _goal(config, rung, horizon, own, payers)


def _goal(
    config: RegretConfig, rung: Rung, horizon: int, answers: Sequence[Answer], payers: Mapping[str, float]
) -> GoalResult:
    run_flops = float(rung.flops_per_token * horizon)
    return GoalResult(
        **GoalResult.fields_of(rung, horizon),
        answers=tuple(_answer(config, a.proposal, payers.get(a.entry, 0.0), run_flops) for a in answers if a.proposal),
        silent=tuple(f"{a.entry}: {a.reason}" for a in answers if a.proposal is None),
    )


def _answer(config: RegretConfig, proposal: Proposal, cost: float, run_flops: float) -> GoalAnswer:
    from lrladder.benchmark.training.recipe import proposal_recipe  # torch, for which no run should wait

    far = unchecked(proposal.extrapolation)
    kept = proposal.model_dump(exclude={"paradigm", "rung", "horizon", "lr_proposed", "flags"})
    return GoalAnswer(
        name=proposal.paradigm,
        **kept,
        cost_flops=cost,
        cost_fraction=cost / run_flops,
        flags=(*((f"{far} {CHECKED:g}",) if far else ()), *proposal.flags),
        recipe=proposal_recipe(config, proposal),
    )


def unanswered(config: RegretConfig, answers: Sequence[Answer], reasons: Mapping[str, str]) -> Iterator[str]:
    """A line for each answer that is missing because an entry's search has not ended or proposed nothing.

    An entry that searched and cannot answer for a goal is not listed: it has given its reason.
    """
    known = {(a.entry, a.rung, a.horizon) for a in answers}
    for rung in config.rungs.goals:
        for horizon in rung.horizons:
            for name in config.entries:
                if (name, rung.name, horizon) not in known:
                    reason = reasons.get(name, "not made yet")
                    yield f"{rung.name} at {horizon:,} tokens: no answer of {name}: {reason}"
