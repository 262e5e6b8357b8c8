"""From a trial back to the names that a study has for it."""

from collections.abc import Sequence

from lrladder.benchmark.lab.measurement import Label
from lrladder.benchmark.lab.resolve import Setup, resolve
from lrladder.benchmark.lab.trial import Trial
from lrladder.paradigms.lab import ParametrizationName, Request


def labels_of(trial: Trial, setup: Setup, parametrizations: Sequence[ParametrizationName]) -> list[Label]:
    """The labels of a stored trial: each rung and parametrization whose request resolves to this trial."""
    exponents = {trial.horizon_exponent, trial.horizon_exponent or 0.0}  # the request of a None may have had 0
    alike = [r for r in setup.rungs if (r.shape, r.batch_tokens) == (trial.shape, trial.batch_tokens)]
    return [
        Label(rung.name, name)
        for rung in alike
        for name in parametrizations
        if any(trial.id in _ids(trial, setup, rung.name, name, exponent) for exponent in exponents)
    ]


def _ids(trial: Trial, setup: Setup, rung: str, name: ParametrizationName, exponent: float | None) -> set[str]:
    """Ids of the trials of a request for `trial` under this rung and parametrization."""
    request = Request(rung, name, trial.lr, trial.seed, trial.horizons, exponent, trial.role_lrs)
    parts = resolve(request, setup, corpus_digest=trial.corpus_digest, precision=trial.precision)
    return {part.id for part in parts}
