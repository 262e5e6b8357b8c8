"""The result of one trial at one horizon, without and with the names that a study has for the trial."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from pydantic import model_validator

from lrladder.benchmark.lab.trial import Trial
from lrladder.paradigms.lab import Measured, Measurement, ParametrizationName, Request


class Label(NamedTuple):
    """The names that a study has for a trial. It has several if two parametrizations give the same trial."""

    rung: str
    parametrization: ParametrizationName

    @classmethod
    def of(cls, request: Request) -> Self:
        """The label of the runs that a request asks for."""
        return cls(request.rung, request.parametrization)

    def __str__(self) -> str:
        return f"{self.rung} {self.parametrization}"


class TrialMeasurement(Measured):
    """A measurement without a label. A trial does not know the names of rungs and parametrizations in its study."""

    @classmethod
    def of(cls, trial: Trial, horizon: int, **found: Any) -> Self:
        """`found`: the fields that are not part of the specification of the trial."""
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
        """Remove the two empty strings that stores and logs of earlier versions have instead of a label."""
        if not isinstance(data, Mapping):
            return data
        return {name: value for name, value in data.items() if (name, value) not in _BLANKS}

    def labelled(self, label: Label) -> Measurement:
        """The measurement with the rung and the parametrization that this study calls it by."""
        return Measurement(**dict(self), **label._asdict())


_BLANKS = (("rung", ""), ("parametrization", ""))
