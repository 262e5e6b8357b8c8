"""With the seeds that are asked for, 80% of simulated studies name the best of those that were not told apart."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest

from lrladder.benchmark.studies.regret.results import NextRunsResult, ParadigmResult
from lrladder.benchmark.studies.regret.scoring.components import Components, Run, squares
from lrladder.benchmark.studies.regret.scoring.decision import FOUND_SHARE
from lrladder.benchmark.studies.regret.scoring.next_runs import MOST_RUNS, more_seeds, next_runs
from lrladder.benchmark.studies.regret.scoring.noise import Noises
from lrladder.benchmark.studies.regret.scoring.words import of_next_runs
from lrladder.paradigms.sweep.noise import Noise
from tests.benchmark.studies.regret.simulated_studies import decide_all, estimates
from tests.benchmark.studies.regret.test_conclusion import Entry, result

STUDIES, SEEDS, SWEEP_SEEDS = 3000, 3, 2


class Case(NamedTuple):
    """Entries that are tied, and others that stand in the study too, by parametrization; sds are of a run."""

    tied: tuple[str, ...]
    leads: tuple[float, ...]  # of the first over each, sds
    others: tuple[str, ...] = ()
    interaction: float = 0.0  # variance
    short: float = 0.03  # by how much the share that is found may miss FOUND_SHARE


CASES = [
    Case(("0", "0"), (0.0, 1.1), ("1", "1")),
    # Here the noise of many studies is not pooled, which the count of runs does not foresee: 0.757 are found.
    Case(("0", "1"), (0.0, 1.1), short=0.05),
    Case(("0", "1"), (0.0, 1.5), ("0", "1"), 0.5),
    Case(("0", "0", "1"), (0.0, 1.5, 1.8), ("1",), 0.3),
]


def design(case: Case, seeds: int) -> list[Run]:
    """Of one target: tied entries with `seeds`, others with SEEDS, and a near run of each sweep."""
    runs = [Run(group, i, seed) for i, group in enumerate(case.tied) for seed in range(seeds)]
    runs += [Run(group, f"other{i}", seed) for i, group in enumerate(case.others) for seed in range(SEEDS)]
    groups = sorted({*case.tied, *case.others})
    return runs + [Run(group, "swept", seed) for group in groups for seed in range(SWEEP_SEEDS)]


def known(case: Case) -> Noises:
    """The true variances, with the degrees of freedom of a study at SEEDS."""
    runs = design(case, SEEDS)
    sums = squares(runs, np.zeros(len(runs)))
    pooled = 0 if case.interaction else sums.interaction_dof
    own = Components(1e-6, sums.dof + pooled, 1e-6 * case.interaction, sums.interaction_dof)
    return Noises(Noise(None, 0), own, own, {})


def scored(groups: Sequence[str], leads: Sequence[float]) -> list[ParadigmResult]:
    """The sd of a run is a millinat."""
    return [result(str(i), Entry(lead, g), i) for i, (g, lead) in enumerate(zip(groups, leads, strict=True))]


def found(case: Case, seeds: int) -> float:
    """Share of simulated studies that name the first of `tied`, by the project's sums of squares and rule."""
    rng, runs = np.random.default_rng(len(case.tied) + len(case.others)), design(case, seeds)
    keys = list(dict.fromkeys((run.group, run.seed) for run in runs))
    which = [keys.index((run.group, run.seed)) for run in runs]
    losses = rng.standard_normal((STUDIES, len(runs)))
    losses += case.interaction**0.5 * rng.standard_normal((STUDIES, len(keys)))[:, which]
    losses += 5 * rng.standard_normal((STUDIES, seeds))[:, [run.seed for run in runs]]
    sums = squares(runs, losses)
    noise = estimates(sums.rest, sums.dof, sums.interaction, sums.interaction_dof, sums.scale)
    own = losses[:, : seeds * len(case.tied)].reshape(STUDIES, 1, len(case.tied), seeds).mean(-1) + np.array(case.leads)
    winners, _ = decide_all(own, np.array([int(g) for g in case.tied]), seeds, noise)
    return float(np.mean(winners == 0))


@pytest.mark.parametrize("case", CASES)
def test_the_seeds_that_are_asked_for_find_such_a_lead_in_80_percent(case: Case) -> None:
    seeds = more_seeds(scored(case.tied, case.leads), known(case))
    assert seeds is not None
    assert FOUND_SHARE - case.short < found(case, SEEDS + seeds) < FOUND_SHARE + 0.09  # seeds are whole numbers
    assert found(case, SEEDS + seeds // 2) < FOUND_SHARE - 0.05


def test_fewer_seeds_are_asked_for_where_only_those_not_told_apart_are_left() -> None:
    case = CASES[0]
    pair = more_seeds(scored(case.tied, case.leads), known(case))
    many = more_seeds(scored("0000", (0.0, 1.1, 1.1, 1.1)), known(case))
    assert pair is not None and many is not None and pair < many


def test_where_all_are_too_dear_the_best_and_the_cheapest_are_asked_for() -> None:
    tied = scored("0000", (0.0, 0.3, 0.4, 1.2))
    whole, pair = next_runs(tied, tied[-1], known(CASES[0]))
    assert (whole.entries, whole.seeds) == (("0", "1", "2", "3"), None)
    assert pair.entries == ("0", "3") and pair.seeds is not None and 2 * pair.seeds <= MOST_RUNS
    (alone,) = next_runs(tied, tied[0], known(CASES[0]))  # the best is the cheapest too
    assert alone == whole


def test_without_a_noise_or_a_rival_nothing_is_asked_for() -> None:
    tied = scored("00", (0.0, 1.0))
    nothing = Noises(Noise(None, 0), Components(None, 0, 0.0, 0), Components(None, 0, 0.0, 0), {})
    assert next_runs(tied, tied[0], nothing) == next_runs(tied[:1], tied[0], known(CASES[0])) == ()


def test_that_it_would_take_too_many_runs_is_said_once() -> None:
    entries = {entry.name: entry for entry in scored("00", (0.0, 0.1))}
    all_of_them, cheapest = (NextRunsResult(entries=("0", "1"), seeds=None) for _ in range(2))
    assert len(list(of_next_runs([all_of_them, cheapest], entries))) == 1
    assert len(list(of_next_runs([all_of_them, cheapest.model_copy(update={"seeds": 9})], entries))) == 2
