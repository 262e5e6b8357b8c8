"""The figure of training losses against tokens."""

from lrladder.reports.regret.learning_figure import losses_over_tokens
from tests.reports.regret.studies import simulated


def test_an_entry_that_is_not_scored_yet_is_left_out() -> None:
    """An interrupted study has runs of entries whose other seeds have not ended."""
    results = simulated()
    early = results.learning_curves[0].model_copy(update={"entry": "not_scored"})
    more = results.model_copy(update={"learning_curves": (*results.learning_curves, early)})
    drawn = losses_over_tokens(results)
    assert drawn is not None and losses_over_tokens(more) == drawn
