"""The plan of a study of any kind, and what such a study calls its parametrizations."""

from collections.abc import Sequence

from lrladder.benchmark.studies.drift.config import AxesConfig, parametrization_name
from lrladder.benchmark.studies.drift.planner import plan_axes
from lrladder.benchmark.studies.kinds import AnyStudy
from lrladder.benchmark.studies.planner import Plan, plan
from lrladder.benchmark.studies.regret.config import StudyConfig
from lrladder.benchmark.studies.regret.protocol import PARAMETRIZATIONS
from lrladder.benchmark.studies.schedules.config import SCHEDULES
from lrladder.benchmark.studies.schedules.planner import plan_power


def plan_of(study: AnyStudy, *, workers: int = 1, flops_per_second: float | None = None) -> Plan:
    """Every run, before anything runs; `flops_per_second` as in `benchmark.planner.plan`."""
    if isinstance(study, StudyConfig):
        return plan(study, workers=workers, flops_per_second=flops_per_second)
    if isinstance(study, AxesConfig):
        return plan_axes(study, workers=workers, flops_per_second=flops_per_second)
    return plan_power(study, workers=workers, flops_per_second=flops_per_second)


def parametrizations_of(study: AnyStudy) -> Sequence[str]:
    """Every name under which the study asks for runs."""
    if isinstance(study, StudyConfig):
        return PARAMETRIZATIONS
    if isinstance(study, AxesConfig):
        return [parametrization_name(axis.axis, variant) for axis in study.axes for variant in axis.variants]
    return SCHEDULES
