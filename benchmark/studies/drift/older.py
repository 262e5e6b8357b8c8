"""Adds to results of an older version the drift against the decay fraction, from their stored runs."""

from pydantic import ValidationError

from lrladder.benchmark import upgrade
from lrladder.benchmark.studies.drift.config import DriftConfig
from lrladder.benchmark.studies.drift.results import DriftResults
from lrladder.benchmark.studies.drift.study import assemble
from lrladder.benchmark.studies.results import Found


def with_decay(results: DriftResults) -> DriftResults:
    """The results, with `decay` for each axis that lacks it. What they say already does not change.

    A config that this version cannot read leaves them as they are.
    """
    try:
        config = DriftConfig.model_validate(upgrade.config(results.config))
    except ValidationError:
        return results
    varied = {axis.axis for axis in config.axes if axis.decay_fractions}
    if not any(axis.decay is None and axis.axis in varied for axis in results.axes):
        return results
    again = {axis.axis: axis.decay for axis in assemble(config, Found(results.measurements)).axes}
    axes = (
        axis.model_copy(update={"decay": again.get(axis.axis)}) if axis.decay is None else axis for axis in results.axes
    )
    return results.model_copy(update={"axes": tuple(axes)})
