"""Results do not depend on the order in which trials ended."""

import random

from lrladder.benchmark.studies.regret.role_effects import role_effects
from lrladder.benchmark.studies.results import in_order
from tests.reports.synthetic import build_results


def test_runs_that_differ_in_role_lrs_alone_have_one_order() -> None:
    first = build_results().measurements[0]
    changes = ((), (("head", 0.5),), (("head", 2.0),))
    runs = [
        first.model_copy(update={"role_lrs": role_lrs, "seed": seed, "loss": 3.0 + 0.1 * i + 0.01 * seed})
        for i, role_lrs in enumerate(changes)
        for seed in (0, 1)
    ]
    shuffled = random.Random(0).sample(runs, len(runs))
    assert shuffled != runs and in_order(shuffled) == in_order(runs)
    assert [effect.factor for effect in role_effects(in_order(shuffled))] == [0.5, 2.0]
