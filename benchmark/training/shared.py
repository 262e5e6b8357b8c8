"""Checkpoints that other machines see, and that a run which was given up may still want to write."""

from typing import NamedTuple


class Sharing(NamedTuple):
    """How the checkpoints of a run are shared.

    `attempt` is the number of this attempt to train the run. Numbers rise over a whole study, so the files of a run
    belong to the attempt with the highest number. None: no other process can have these files open. `url` is the
    fsspec URL of the folder that holds them; None: they stay in the folder to which they are written.
    """

    attempt: int | None = None
    url: str | None = None


ALONE = Sharing()


class Superseded(RuntimeError):
    """A later attempt has taken over the files of a run, so this one may not write any more."""
