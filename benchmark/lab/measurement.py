"""What one trial gave at one horizon, before and after a study calls it by its own names."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from pydantic import model_validator

from lrladder.benchmark.lab.trial import Trial
from lrladder.paradigms.lab import Measured, Measurement, ParametrizationName, Request


class Label(NamedTuple):
    """What a study calls a trial; one trial may have several, where two parametrizations are one function."""

    rung: str
    parametrization: ParametrizationName

    @classmethod
    def of(cls, request: Request) -> Self:
        return cls(request.rung, request.parametrization)

    def __str__(self) -> str:
        return f"{self.rung} {self.parametrization}"


class TrialMeasurement(Measured):
    """A measurement without a label: a trial knows neither the study's rungs nor its names for parametrizations."""

    @classmethod
    def of(cls, trial: Trial, horizon: int, **found: Any) -> Self:
        """`found` are the fields that the trial's specification does not tell."""
        return cls(
            trial_id=trial.id,
            lr=trial.lr,
            seed=trial.seed,
            horizon=horizon,
            flops=trial.flops,
            role_lrs=trial.role_lrs,
            **found,
        )

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, data: Any) -> Any:
        """Stores and logs of earlier versions hold two empty strings in place of a label."""
        if not isinstance(data, Mapping):
            return data
        return {name: value for name, value in data.items() if (name, value) not in _BLANKS}

    def labelled(self, label: Label) -> Measurement:
        return Measurement(**dict(self), **label._asdict())


_BLANKS = (("rung", ""), ("parametrization", ""))
