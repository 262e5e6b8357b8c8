"""Selects the runs of a table that a search within a budget would have asked for."""

import pandas as pd

from lrladder.benchmark.own_runs.cells import Protocol, RunCell, cells
from lrladder.benchmark.own_runs.lab import ReplayedLab, rungs_of
from lrladder.benchmark.own_runs.replay import sources_of
from lrladder.benchmark.own_runs.runs import Runs
from lrladder.benchmark.own_runs.settings import SWEEP
from lrladder.benchmark.own_runs.ways import Way
from lrladder.paradigms.paradigm import NoProposal
from lrladder.paradigms.registry import NAMED
from lrladder.paradigms.strategies.fallback import from_few_runs
from lrladder.paradigms.strategies.search import run_flops

SEARCH = "economy"  # it was chosen because it fixes its cells beforehand, not by its scores


def within_budget(runs: Runs, budget: float, *, protocol: Protocol) -> Runs:
    """The runs that SEARCH asks for within `budget` runs of each family's largest cell, with a flag.

    If it finds no minimum, it spends the rest on the cheapest cell. There may be no run that the budget pays for.
    """
    searched = [cell for cell in cells(runs, protocol=protocol) if not cell.held_out]
    kept, said = [], []
    for family in sorted({cell.family for cell in searched}):
        target = max((cell for cell in searched if cell.family == family), key=lambda cell: cell.flops)
        asked, cost = _asked(target, sources_of(target, searched), budget)
        kept.append(_rows(runs.frame, asked))
        said.append(f"{SEARCH} spends {cost:.2g} of {budget:g} runs of {target.name}")
    frame = pd.concat([runs.frame.iloc[:0], *kept]).sort_index()
    flag = f"{len(frame):,} of {len(runs.frame):,} runs are fitted, those within the budget: {'; '.join(said)}"
    return Runs(frame.reset_index(drop=True), (*runs.flags, flag), runs.loss_step)


def _asked(target: RunCell, sources: tuple[RunCell, ...], budget: float) -> tuple[list[tuple[RunCell, float]], float]:
    """The cells with the LRs that the search asked for, and their cost in target runs."""
    if not sources:
        return [], 0.0
    rungs, aim = rungs_of(sources, target)
    lab = ReplayedLab(rungs, sources)
    way = Way(SEARCH, NAMED[SEARCH], budget)
    try:
        way.search(lab, (*rungs, aim))
    except NoProposal as none:
        paid = lab.asked(way.name)
        from_few_runs(lab, rungs, aim, payer=way.name, asked=paid, target_runs=budget, why=str(none))
    by_name = {rung.name: cell for rung, cell in zip(rungs, sources, strict=True)}
    asked = [(by_name[name], lr) for name, lr in lab.asked(way.name)]
    return asked, lab.cost_flops(way.name) / run_flops(aim)


def _rows(frame: pd.DataFrame, asked: list[tuple[RunCell, float]]) -> pd.DataFrame:
    """All replicates of the requested runs, at their places in the table."""
    wanted = pd.DataFrame(
        [(c.family, c.n_params, c.n_active, c.tokens, c.batch_tokens, lr) for c, lr in asked], columns=[*SWEEP, "lr"]
    ).astype(dict.fromkeys((*SWEEP[1:], "lr"), float))
    found = frame.reset_index().merge(wanted, on=[*SWEEP, "lr"]).set_index("index")
    return found[frame.columns]
