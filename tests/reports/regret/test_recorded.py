"""The arrays hold what each run says of each key by itself."""

import math

from hypothesis import given
from hypothesis import strategies as st

from lrladder.paradigms.lab import Measurement
from lrladder.reports.regret.recorded import Table

NAMES = ("loss_spikes", "loss_spike_judged", "grad_spikes", "log_z", "a/x", "b/x")
KEYS = ("loss_spikes", "a/x~b/x", "grad_spikes", "b/x", "loss_spikes~log_z", "unknown")
NUMBERS = st.sampled_from([0.0, -0.0, 1.0, 3.0, 1e-300, 1e300, math.inf, math.nan])
RUNS = st.lists(st.dictionaries(st.sampled_from(NAMES), NUMBERS), max_size=8)


def run(metrics: dict[str, float]) -> Measurement:
    known = {"trial_id": "a", "lr": 0.1, "seed": 0, "horizon": 1, "verdict": "finished", "rung": "p"}
    return Measurement.model_validate({**known, "parametrization": "sp", "metrics": metrics})


def said(metrics: dict[str, float], key: str) -> float | None:
    """The oracle: one run, one key."""
    top, _, bottom = key.partition("~")
    if "_spike" in key and metrics.get(f"{key.partition('_')[0]}_spike_judged") == 0:
        return None
    if not bottom:
        return metrics.get(top)
    above, below = metrics.get(top), metrics.get(bottom)
    return above / below if above is not None and below else None


@given(RUNS)
def test_every_run_has_the_numbers_that_it_recorded_in_the_order_of_the_keys(runs: list[dict[str, float]]) -> None:
    expected = [{key: seen for key in KEYS if (seen := said(metrics, key)) is not None} for metrics in runs]
    table = Table.of([run(metrics) for metrics in runs])
    assert repr(list(table.by_run(KEYS))) == repr(expected)  # in text NaN is NaN, and -0 is not 0
    found = table.recorded(KEYS)
    rows = [(place, key, number) for place, own in enumerate(expected) for key, number in own.items()]
    pairs = zip(found.run.tolist(), [KEYS[key] for key in found.key], found.number.tolist(), strict=True)
    assert repr(list(pairs)) == repr(rows)


@given(RUNS)
def test_names_come_in_the_order_in_which_runs_have_them(runs: list[dict[str, float]]) -> None:
    met = [name for metrics in runs for name in metrics if name.startswith("loss_")]
    assert Table.of([run(metrics) for metrics in runs]).names("loss_") == list(dict.fromkeys(met))
