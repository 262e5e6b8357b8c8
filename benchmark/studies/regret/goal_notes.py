"""The notes of `lrladder plan` about goals, the models that a study answers for and never trains.

They say what one run at the goal would cost, what each entry's search costs in such runs, and the LR of each role as
a multiple of the study's LR.
"""

from collections.abc import Iterator

from lrladder.benchmark.lab.resolve import planned_flops
from lrladder.benchmark.ladder import Rung
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.regret.making import default_exponent
from lrladder.benchmark.studies.regret.planned_search import planned_search
from lrladder.benchmark.studies.regret.recipes import label_of
from lrladder.paradigms.paradigm import Proposal

GOALS_ALONE = (
    "this study has goals alone and no target: no run scores its answers, so it has no regret and no conclusion"
)


def goal_notes(config: RegretConfig) -> Iterator[str]:
    """The notes, one line each; none for a study without goals.

    LRs are not known before the search, but the ratios of the roles' LRs are.
    """
    prices = {name: _search_flops(config, name) for name in config.entries} if config.rungs.goals else {}
    for rung in config.rungs.goals:
        tokens = max(rung.horizons)
        run = rung.flops_per_token * tokens
        shares = ", ".join(f"{name} {price / run:.2g}" for name, price in prices.items())
        yield (
            f"goal {rung.name}: {rung.n_active:,} active parameters, never trained; one run to {tokens:,} tokens would "
            f"cost {run:.2e} FLOPs, and the search of each entry costs, in such runs, {shares}"
        )
        for label in dict.fromkeys(label_of(entry.arm) for entry in config.entries.values()):
            ratios = _ratios(config, rung, label)
            yield f"goal {rung.name} under {label}: the LRs to set will be the study's LR times {ratios}"
    if not config.rungs.targets:
        yield GOALS_ALONE


def _search_flops(config: RegretConfig, name: str) -> float:
    """FLOPs of an entry's search as planned, without the runs that extend a sweep."""
    return sum(
        len(sweep.seeds) * sum(not extension for _, extension in sweep.lrs) * planned_flops(sweep.request(), config)
        for sweep in planned_search(config, name)
    )


def _ratios(config: RegretConfig, rung: Rung, label: str) -> str:
    from lrladder.benchmark.training.recipe import proposal_recipe  # torch: only where there is a goal

    horizon, exponent = max(rung.horizons), default_exponent(config, label)
    unit = Proposal(
        parametrization=label, rung=rung.name, horizon=horizon, lr=1.0, extrapolation=1.0, horizon_exponent=exponent
    )
    lrs = proposal_recipe(config, unit).folded().lrs
    return ", ".join(f"{kind} {lr:.3g}" for kind, lr in lrs.items())
