"""The key `lab`: what it refuses, and that configs without it are what they were."""

import pytest

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.studies.kinds import load_study
from lrladder.benchmark.studies.tune import tuning_of
from tests.benchmark.external.studies import ENTRIES, config_of

EMA = {"mutransfer": {**ENTRIES["mutransfer"], "read": "ema"}}
SIMULATED = {"law": {"k": 50.0, "u": 0.4, "v": 0.3, "mup_base": 1, "mup_tokens": 1}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lab": {"kind": "external"}}, "lab: data is missing: name the text"),
        ({"lab": {"data": "a"}}, "lab: data and parts say what is trained elsewhere"),
        ({"lab": {"kind": "external", "data": "a", "parts": ["goal"]}}, "lab.parts.0"),
        ({"simulated": SIMULATED}, "lab: losses that are simulated are trained nowhere"),
        ({"entries": EMA}, "entries.mutransfer.read: an average of the weights is read by our own trainer alone"),
    ],
)
def test_refusals(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        config_of(**changes)


def test_only_a_benchmark_can_be_trained_elsewhere() -> None:
    axes = load_study("axes")
    with pytest.raises(ValueError, match="only a study of kind benchmark"):
        type(axes).model_validate({**axes.model_dump(), "lab": {"kind": "external", "data": "a"}})
    with pytest.raises(InputError, match="tuned by our own trainer"):
        tuning_of(config_of())


def test_the_key_changes_the_digest_and_is_written_only_where_it_is_given() -> None:
    ours, theirs, others = (
        config_of(lab={"kind": "trained"}),
        config_of(),
        config_of(lab={"kind": "external", "data": "b"}),
    )
    assert len({ours.digest, theirs.digest, others.digest}) == 3
    assert "lab" not in ours.model_dump()
    assert theirs.lab.digest != others.lab.digest
    assert [rung.name for rung in ours.trained_here] == ["p16x1", "p16x2", "p24x2", "t32x2", "t48x4"]
    assert theirs.trained_here == ()
    assert (ours.longest_horizon, theirs.longest_horizon) == (32768, 0)
