"""Results of an older version say what would decide, from their stored runs, and else what they said."""

import pytest

from lrladder.benchmark.lab.simulated import SimulatedLab
from lrladder.benchmark.lab.truth import TrueLaw
from lrladder.benchmark.studies.regret.config import load_config
from lrladder.benchmark.studies.regret.older import with_next_runs
from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.benchmark.studies.runner import run_on
from tests.paths import TWO_TARGETS


@pytest.fixture(scope="module")
def results() -> RegretResults:
    """Of a study so noisy that nobody wins at some target."""
    config = load_config(TWO_TARGETS)
    law = TrueLaw(k=50.0, u=0.4, v=0.3, mup_base=config.base.shape.n_active)
    return run_on(config, SimulatedLab(config.rungs, law, noise_sd=0.02))


def test_next_runs_are_those_of_a_new_run(results: RegretResults) -> None:
    assert any(target.next_runs for target in results.targets)
    older = results.model_copy(
        update={"targets": tuple(t.model_copy(update={"next_runs": (), "said": ()}) for t in results.targets)}
    )
    again = with_next_runs(older)
    assert [t.next_runs for t in again.targets] == [t.next_runs for t in results.targets]
    for now, new in zip(again.targets, results.targets, strict=True):
        next_said = [s for s in new.said if s.about == "next"]
        assert [s for s in now.said if s.about == "next"] == next_said
        assert not next_said or now.said[0].text == new.conclusion


def test_results_that_say_it_or_cannot_be_read_stay_as_they_are(results: RegretResults) -> None:
    assert with_next_runs(results) == results
    targets = tuple(target.model_copy(update={"next_runs": ()}) for target in results.targets)
    unknown = results.model_copy(update={"config": {}, "targets": targets})
    assert with_next_runs(unknown) == unknown
