"""What an entry of a finished study proposes for a rung: again from its stored curves, or as it did in the study."""

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.regret.making import completed, make_paradigm
from lrladder.benchmark.studies.regret.planned_search import role_search_of
from lrladder.benchmark.studies.regret.recipes import label_of
from lrladder.benchmark.studies.regret.results import (
    CurveResult,
    GoalAnswer,
    GoalResult,
    ParadigmResult,
    RegretResults,
    TargetResult,
)
from lrladder.paradigms.lab import Rung
from lrladder.paradigms.mutransfer.paradigm import MuTransfer
from lrladder.paradigms.mutransfer.roles import RoleLrsFound
from lrladder.paradigms.paradigm import NoProposal, Proposal
from lrladder.paradigms.sweep.bracket import Cell
from lrladder.paradigms.sweep.curve import Curve

LEARN_FROM_CURVES = ("fitting", "mutransfer", "published")  # paradigms that can answer again from stored curves


def propose(results: RegretResults, config: RegretConfig, name: str, rung: Rung) -> Proposal:
    """The proposal of an entry: from its stored curves if these are enough, else the one that it made in the study."""
    (tokens,) = rung.horizons
    entry = config.entries[name]
    if entry.paradigm not in LEARN_FROM_CURVES:
        return _stored(results, config, name, rung)
    try:
        paradigm = make_paradigm(config, name)
        if isinstance(paradigm, MuTransfer) and role_search_of(entry) is not None:
            paradigm.roles = RoleLrsFound(_role_lrs(results, name), ())
        paradigm.learn(config.rungs, _curves(results, config, name))
        return completed(config, name, paradigm, paradigm.propose(rung, tokens))
    except NoProposal as error:
        raise InputError(f"{results.preset}: {error}; `lrladder status` says what is missing") from error


def _stored(results: RegretResults, config: RegretConfig, name: str, rung: Rung) -> Proposal:
    """The proposal that an entry made in the study. Nothing else is known of a user's class, which is not imported."""
    aims = _aims(results)
    for target in aims:
        same = (target.rung, target.batch_tokens, (target.tokens,)) == (rung.name, rung.batch_tokens, rung.horizons)
        for found in _answers(target) if same else ():
            if found.name == name:
                keys = set(Proposal.model_fields) & set(type(found).model_fields)
                return Proposal(
                    paradigm=name, rung=target.rung, horizon=target.tokens, **found.model_dump(include=keys)
                )
    places = ", ".join(f"{t.rung} at {t.tokens:,} tokens" for t in aims) or "none yet"
    raise InputError(
        f"{results.preset}: {name} ({config.entries[name].paradigm}) answers only for its study's targets and goals: "
        f"{places}"
    )


def _curves(results: RegretResults, config: RegretConfig, name: str) -> dict[Cell, Curve]:
    """The curves of the entry's search. In older results these are the curves of all proxies under its arm."""
    own = next((entry.curves for entry in results.entries if entry.name == name), ())
    proxies, label = {rung.name for rung in config.rungs.proxies}, label_of(config.entries[name].searched)
    shared = [c for c in results.curves if c.rung in proxies and c.parametrization == label]
    return {(found.rung, found.horizon): _curve(found) for found in own or shared}


def _curve(found: CurveResult) -> Curve:
    return Curve(**found.model_dump(exclude={"rung", "horizon", "parametrization"}))


def _role_lrs(results: RegretResults, name: str) -> tuple[tuple[str, float], ...]:
    """The LR multipliers that the search of the entry accepted. All its proposals have the same ones."""
    found = [p.role_lrs for aim in _aims(results) for p in _answers(aim) if p.name == name]
    if not found:
        raise InputError(
            f"{results.preset}: {name} has no proposal with LR multipliers yet; `lrladder status` says what is missing"
        )
    return found[0]


def _aims(results: RegretResults) -> tuple[TargetResult | GoalResult, ...]:
    return (*results.targets, *results.goals)


def _answers(aim: TargetResult | GoalResult) -> tuple[ParadigmResult, ...] | tuple[GoalAnswer, ...]:
    return aim.paradigms if isinstance(aim, TargetResult) else aim.answers
