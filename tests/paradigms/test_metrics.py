"""Metrics are a mapping like a dict of floats, whatever they hold."""

import json
import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrladder.paradigms.lab import Measurement
from lrladder.paradigms.metrics import Metrics

NUMBERS = st.dictionaries(st.text(max_size=8), st.floats(allow_nan=False), max_size=8)


@given(NUMBERS)
def test_they_are_a_dict_to_whoever_reads_them(numbers: dict[str, float]) -> None:
    metrics = Metrics(numbers)
    assert metrics == numbers and list(metrics.items()) == list(numbers.items()) and len(metrics) == len(numbers)
    assert pickle.loads(pickle.dumps(metrics)) == numbers
    assert all(name in metrics and metrics.get(name) == metrics[name] for name in numbers)
    assert metrics.get("nine letters") is None and "nine letters" not in metrics
    with pytest.raises(KeyError):
        metrics["nine letters"]


def measured(metrics: object) -> Measurement:
    known = {"trial_id": "a", "lr": 0.1, "seed": 0, "horizon": 1, "verdict": "finished", "rung": "p"}
    return Measurement.model_validate({**known, "parametrization": "sp", "metrics": metrics})


@given(NUMBERS)
def test_a_measurement_is_written_and_read_as_with_a_dict(numbers: dict[str, float]) -> None:
    data = measured(numbers).model_dump(mode="json")
    assert data["metrics"] == numbers and type(data["metrics"]) is dict
    assert measured(json.loads(json.dumps(data))["metrics"]) == measured(numbers)


def test_nan_stays_nan() -> None:
    text = json.dumps(measured({"a": math.nan}).model_dump(mode="json"))
    assert math.isnan(measured(json.loads(text)["metrics"]).metrics["a"])


@pytest.mark.parametrize("odd", [{"a": "x"}, {1: 2.0}, [1.0], None, 7])
def test_what_is_no_number_by_name_is_refused(odd: object) -> None:
    with pytest.raises(ValueError, match="metrics"):
        measured(odd)


def test_readings_with_the_same_names_share_them() -> None:
    first, second = Metrics({"a": 1.0, "b": 2.0}), Metrics({"a": 3.0, "b": 4.0})
    assert first._places is second._places
