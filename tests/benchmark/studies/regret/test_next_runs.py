"""With the seeds that are asked for, 80% of simulated studies name the best of those that were not told apart."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest

from lrladder.benchmark.studies.regret.results import NextRunsResult, ParadigmResult
from lrladder.benchmark.studies.regret.scoring.components import Components, Run, squares
from lrladder.benchmark.studies.regret.scoring.decision import FOUND_SHARE, Rival, found_share
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


@pytest.mark.parametrize(("groups", "leads"), [("00", (0.0, 1.5)), ("01", (0.0, 2.0)), ("000", (0.0, 1.6, 2.2))])
def test_the_fewest_seeds_are_asked_for(groups: str, leads: tuple[float, ...]) -> None:
    """By counting up from one, with the noise and the degrees of freedom that as many more seeds leave."""
    variance, dof, tau2, tau_dof = 1e-6, 6, 0.3e-6, 3
    own = Components(variance, dof, tau2, tau_dof)

    def share(more: int) -> float:
        n, kinds = SEEDS + more, len(set(groups))
        within, across = dof + more * (len(groups) - kinds), tau_dof + more * (kinds - 1)
        rivals = []
        for group, lead in zip(groups[1:], leads[1:], strict=True):
            parts = [(2 * variance / n, within)] + [(2 * tau2 / n, across)] * (group != groups[0])
            total = sum(part for part, _ in parts)
            df = total**2 / sum(part**2 / own_df for part, own_df in parts)
            rivals.append(Rival(lead / 1000 / total**0.5, df))
        return found_share(rivals)

    fewest = next(more for more in range(1, 100) if share(more) >= FOUND_SHARE)
    assert fewest > 2
    assert more_seeds(scored(groups, leads), Noises(Noise(None, 0), own, own, {})) == fewest


def test_where_runs_do_not_scatter_one_seed_tells_any_lead_and_none_tells_a_tie() -> None:
    exact = Components(0.0, 6, 0.0, 3)
    noises = Noises(Noise(None, 0), exact, exact, {})
    assert more_seeds(scored("00", (0.0, 0.001)), noises) == 1
    assert more_seeds(scored("00", (0.0, 0.0)), noises) is None


def test_no_more_than_a_hundred_runs_are_asked_for() -> None:
    """Of a pair 50 seeds more, of three entries 33; each is asked for at the lead that just needs it, not below."""
    own = Components(1e-6, 50, 0.0, 0)
    noises = Noises(Noise(None, 0), own, own, {})
    for entries, most in (("00", 50), ("000", 33)):
        leads = [0.3 + 0.001 * k for k in range(400)]
        seeds = [more_seeds(scored(entries, (0.0, *[lead] * (len(entries) - 1))), noises) for lead in leads[::4]]
        assert seeds[0] is None and max(n for n in seeds if n is not None) == most
    assert next_runs(scored("01", (0.0, 9.0)), scored("01", (0.0, 9.0))[0], noises) == ()  # nothing tells tau2


def test_a_pair_is_asked_for_only_beside_others_that_are_too_dear() -> None:
    tied = scored("000", (0.0, 0.1, 1.4))
    whole, pair = next_runs(tied, tied[2], known(CASES[0]))
    assert (whole.seeds, pair.entries) == (None, ("0", "2")) and pair.seeds is not None
    assert [found.entries for found in next_runs(tied[::2], tied[2], known(CASES[0]))] == [("0", "2")]
    few = scored("00", (0.0, 0.1))
    assert [found.seeds for found in next_runs(few, few[1], known(CASES[0]))] == [None]
    clear = scored("000", (0.0, 1.8, 1.9))
    assert [found.entries for found in next_runs(clear, clear[2], known(CASES[0]))] == [("0", "1", "2")]


def test_that_it_would_take_too_many_runs_is_said_once() -> None:
    entries = {entry.name: entry for entry in scored("00", (0.0, 0.1))}
    all_of_them, cheapest = (NextRunsResult(entries=("0", "1"), seeds=None) for _ in range(2))
    assert len(list(of_next_runs([all_of_them, cheapest], entries))) == 1
    assert len(list(of_next_runs([all_of_them, cheapest.model_copy(update={"seeds": 9})], entries))) == 2
