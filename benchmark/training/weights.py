"""The weights that were validated at a horizon, kept in the folder of a study for `lrladder export`.

The folder has one file for each run and horizon, and beside it a manifest with its size and digest.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.training.checkpoints import Say
from lrladder.benchmark.training.sealed import Sealed
from lrladder.benchmark.training.shared import Sharing, Superseded

FORMAT = 1  # of a file


def keep(
    folder: Path, trial: Trial, horizon: int, weights: Mapping[str, Tensor], *, say: Say, attempt: int | None = None
) -> None:
    """Write the weights, by the names of our model, after `horizon` tokens of a trial. Raises OSError and Superseded.

    `attempt`: which attempt to train the trial this is, if an earlier one may still be writing; see `shared.Sharing`.
    """
    try:
        content = {"format": FORMAT, "weights": dict(weights)}
        files = Sealed(folder, _name(trial, horizon), say, Sharing(attempt))
        files.claim()
        files.write(partial(torch.save, content), alone=True)
    except Superseded:
        raise
    except RuntimeError as error:  # what torch raises if the disk is full
        raise OSError(str(error)) from error


def kept(folder: Path, trial: Trial, horizon: int, *, say: Say) -> dict[str, Tensor] | None:
    """The weights that were kept, on the CPU; None if there are none.

    A damaged file is renamed, and `say` is told. Only tensors and plain values are loaded.
    """
    files = Sealed(folder, _name(trial, horizon), say)
    for file in files.whole():
        try:
            found = torch.load(file, weights_only=True, map_location="cpu", mmap=True)
            if found["format"] != FORMAT:
                raise ValueError("of another version")
            return dict(found["weights"])
        except (LookupError, RuntimeError, TypeError, ValueError, UnpicklingError):
            files.set_aside(file, f"is not of format {FORMAT}")
    return None


def are_kept(folder: Path, trial: Trial, horizon: int) -> bool:
    """Whether a file is named as kept, whole or damaged."""
    return (folder / f"{_name(trial, horizon)}.json").exists()


def _name(trial: Trial, horizon: int) -> str:
    return f"{trial.run_id}-{horizon}"
