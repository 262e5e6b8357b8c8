"""Which finished trial of a study is exported, and the weights that it kept."""

from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.stored_trials import read_trials
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.training import disk
from lrladder.benchmark.training.weights import are_kept, kept

MANY = 8  # ids in a refusal; assumption: more fill a terminal
REMEDY = (
    "a study keeps weights with `training: {keep_weights: targets}` in its config; finished trials are not trained "
    "again, so run it into a new OUT"
)


class Chosen(NamedTuple):
    """A trial, and its measurement at the horizon whose weights are exported."""

    trial: Trial
    measurement: TrialMeasurement


def choose(folder: Path, trial_id: str, tokens: int | None) -> Chosen:
    """The trial of this id, or of the one id that begins so, at `tokens` or else at its longest horizon.

    Raises InputError, which lists ids or horizons that can be given.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give OUT of a study")
    stored = read_trials(folder)
    found = [pair for pair in stored if pair[0].id == trial_id] or [
        pair for pair in stored if trial_id and pair[0].id.startswith(trial_id)
    ]
    if len(found) != 1:
        what = f"{len(found)} trials begin so" if found else "there is no such trial"
        raise InputError(f"--trial {trial_id}: {what} in {folder}; {_with_weights(folder, [one for one, _ in stored])}")
    ((trial, measurements),) = found
    return Chosen(trial, _at(trial, measurements, tokens))


def weights_of(folder: Path, chosen: Chosen) -> dict[str, Tensor]:
    """The weights that were validated there. Raises InputError if none are kept whole."""
    trial, horizon = chosen.trial, chosen.measurement.horizon
    told: list[str] = []
    try:
        found = kept(folder / disk.WEIGHTS, trial, horizon, say=told.append)
    except OSError as error:
        raise InputError(
            f"{folder / disk.WEIGHTS}: cannot be read ({error}); copy the study to a folder of yours"
        ) from error
    if found is None:
        why = "; ".join(told) or REMEDY
        raise InputError(f"trial {trial.id} has no weights at {horizon:,} tokens in {folder / disk.WEIGHTS}: {why}")
    return found


def _at(trial: Trial, measurements: list[TrialMeasurement], tokens: int | None) -> TrialMeasurement:
    by_horizon = {one.horizon: one for one in measurements}
    horizon = max(by_horizon) if tokens is None else tokens
    if horizon not in by_horizon:
        listed = ", ".join(map(str, sorted(by_horizon)))
        raise InputError(f"--tokens {tokens}: trial {trial.id} was evaluated at {listed}; give one of these")
    if by_horizon[horizon].verdict != "finished":
        raise InputError(
            f"trial {trial.id} {by_horizon[horizon].verdict} on its way to {horizon:,} tokens, so it has no weights "
            "there; name another trial, or other --tokens"
        )
    return by_horizon[horizon]


def _with_weights(folder: Path, trials: list[Trial]) -> str:
    """The ids whose weights are kept at any horizon, or what to do where none are."""
    place = folder / disk.WEIGHTS
    ids = [trial.id for trial in trials if any(are_kept(place, trial, horizon) for horizon in trial.horizons)]
    if not ids:
        return f"no trial there has kept weights: {REMEDY}"
    more = f" and {len(ids) - MANY} more" if len(ids) > MANY else ""
    return f"weights are kept of {', '.join(ids[:MANY])}{more}"
