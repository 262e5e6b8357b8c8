"""A run that can be stopped, branched and continued: its file, its readings, and the decay in progress."""

import signal
import time
from pathlib import Path
from typing import NamedTuple

from lrladder.benchmark.lab.heartbeat import beat
from lrladder.benchmark.lab.trial import Trial, branch_point
from lrladder.benchmark.training.checkpoints import (
    STOP,
    Clock,
    Known,
    Snapshot,
    Stored,
    is_saved,
    load,
    save,
)
from lrladder.benchmark.training.corpus import Corpus
from lrladder.benchmark.training.disk import MAX_TRUNK
from lrladder.benchmark.training.loop import Log, Loop
from lrladder.benchmark.training.reading import Reading
from lrladder.benchmark.training.shared import ALONE, Sharing
from lrladder.benchmark.training.state import size_of
from lrladder.benchmark.training.weights import keep


class Decay(NamedTuple):
    """A decay in progress: a branch of the trunk that leads to a horizon."""

    began: Snapshot
    horizon: int  # tokens


class Run:
    """One trial on its way through its horizons.

    Checkpoints go to `path` if one is given; `resume` continues it. Validated weights go to the folder `weights`.
    """

    def __init__(
        self,
        trial: Trial,
        corpus: Corpus,
        log: Log,
        *,
        path: Path | None = None,
        weights: Path | None = None,
        micro_batch: int | None = None,
        compiled: bool = False,
        sharing: Sharing = ALONE,
    ) -> None:
        self._started, self._seconds_before, self._tokens_before = time.perf_counter(), 0.0, 0
        self.trial, self.log, self.path, self.clock = trial, log, path, Clock()
        self.weights, self._sharing = weights, sharing
        self.loop = Loop(trial, corpus, log, micro_batch=micro_batch, compiled=compiled)
        self.setup_seconds = time.perf_counter() - self._started
        self.ranks = self.loop.ranks
        self.readings: dict[int, Reading] = {}  # by horizon, tokens
        self.ended: str | None = None  # why the trunk has diverged
        self.decay: Decay | None = None

    @property
    def seconds(self) -> float:
        """Wall time in seconds, including the time before an interruption."""
        return self._seconds_before + time.perf_counter() - self._started

    @property
    def trained_tokens(self) -> int:
        """Tokens that this run trained, including those before an interruption."""
        return self._tokens_before + self.loop.trained_tokens

    def train_to(self, tokens: int, *, horizon: int) -> None:
        """As `Loop.train_to`, with checkpoints on the way. Raises Diverged, and SystemExit if told to end.

        Ranks save and end together, because one alone would leave the others waiting in the next step.
        """
        for _ in self.loop.steps_to(tokens, horizon=horizon):
            beat()
            due, told = self.ranks.any(self.path is not None and self.clock.due(), STOP.is_set())
            if due and self.path is not None:
                self.loop.numbers.read()
                self._save_progress(self.path)
                beat()
            if told:
                raise SystemExit(128 + signal.SIGTERM)

    def _say(self, sentence: str) -> None:
        self.log({"note": sentence})

    def _known(self) -> Known:
        trunk, horizon = (self.decay.began.position, self.decay.horizon) if self.decay is not None else (None, None)
        return Known(self.loop.position, trunk, horizon, self.readings, self.ended)

    def _save_progress(self, path: Path) -> None:
        """Write a checkpoint of an unfinished run. Training goes on even if the disk is full."""
        began = time.monotonic()
        known = self._known()._replace(seconds=self.seconds, trained_tokens=self.trained_tokens)
        now, trunk = self.loop.whole(), self.decay and self.loop.whole(self.decay.began)
        try:
            if self.ranks.is_first:
                save(path, Stored(known, now, trunk), say=self._say, sharing=self._sharing)
        except OSError as error:
            self._say(f"no checkpoint could be written: {error}")
        self.clock.saved(time.monotonic() - began)

    def save_end(self, *, keep_trunk: bool) -> None:
        """Write the final file of the run.

        It contains the trunk if that is to be kept and is small enough. Otherwise existing checkpoints are replaced by
        the readings alone.
        """
        if self.path is None:
            return
        if keep_trunk and self.ended is None and size_of(self.loop.engine) > MAX_TRUNK:
            self._say("the trunk is too large to be kept; longer horizons will train anew")
            keep_trunk = False
        state = self.loop.whole() if keep_trunk and self.ended is None else None
        if self.ranks.is_first and (keep_trunk or is_saved(self.path, say=self._say, sharing=self._sharing)):
            try:
                stored = Stored(self._known(), state, None)
                save(self.path, stored, say=self._say, alone=True, sharing=self._sharing)
            except OSError as error:
                self._say(f"the trunk could not be written: {error}")

    def keep_weights(self, horizon: int) -> None:
        """Write the weights as they are now, if they are to be kept. All ranks must call this."""
        if self.weights is None:
            return
        found = self.loop.weights()
        if self.ranks.is_first:
            try:
                attempt = self._sharing.attempt
                keep(self.weights, self.trial, horizon, found, say=self._say, attempt=attempt)
            except OSError as error:
                self._say(
                    f"the weights after {horizon:,} tokens could not be written, so none can be exported: {error}"
                )
        beat()

    def resume(self) -> None:
        """Continue from the file of the run if it serves all horizons; else stay at the start."""
        stored = self._stored()
        if stored is None:
            return
        known = stored.known
        self.readings, self.ended = known.readings, known.ended
        self._seconds_before, self._tokens_before = known.seconds, known.trained_tokens
        self._go_to(stored)
        self.log({"continued_from_tokens": self.loop.tokens})

    def _stored(self) -> Stored | None:
        """The content of the file of the run; None if it does not serve all horizons.

        The first rank reads first, as it may set a damaged file aside.
        """
        trial = self.trial
        path = self.path
        stored = None
        if path is not None:
            stored = self.ranks.in_turn(lambda: load(path, say=self._say, sharing=self._sharing))
        branches = [branch_point(horizon, trial) for horizon in trial.horizons]
        num_params = len(list(self.loop.engine.module.parameters()))
        serves = stored is not None and stored.serves(trial.horizons, branches, trial.batch_tokens)
        return stored if serves and stored is not None and stored.fits(num_params) else None

    def _go_to(self, stored: Stored) -> None:
        """Restore the stored trunk, and also the stored decay if its horizon is the next one to be read."""
        known = stored.known
        unread = [horizon for horizon in self.trial.horizons if horizon not in known.readings]
        if stored.trunk is not None and known.trunk is not None:
            self.loop.restore(stored.trunk)
            self.loop.place(known.trunk)
        horizon = known.decaying_to if known.decaying_to in unread[:1] else None
        if horizon is not None:
            self.decay = Decay(self.loop.snapshot(), horizon)
        if horizon is not None or known.trunk is None:
            self.loop.place(known.now)
            if stored.now is not None:
                self.loop.restore(stored.now)
