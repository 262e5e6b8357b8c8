"""The losses of settings, from a lab or from earlier measurements."""

import math
from collections.abc import Sequence

from lrladder.benchmark.studies.recipe.config import RUNG, TuningConfig
from lrladder.benchmark.studies.recipe.ingredients import LR, Setting, name_of
from lrladder.benchmark.studies.recipe.noise import Losses
from lrladder.benchmark.studies.recipe.search import OutOfBudget
from lrladder.paradigms.lab import Lab, Measurement, Request

Key = tuple[str, float]  # name and LR of a setting


class RunMissing(Exception):
    """A run that the study needs has failed or was not trained yet. The message says which."""


class Runs:
    """Losses of settings on one set of seeds. Each run is asked for once, and at most `limit` runs in all."""

    def __init__(
        self, config: TuningConfig, lab: Lab, seeds: tuple[int, ...], payer: str, *, limit: float = math.inf
    ) -> None:
        self._lab, self._seeds, self._payer, self._limit = lab, seeds, payer, limit
        self._tokens = (config.start.tokens,)
        self._old = {name: one.old for name, one in config.ingredients.items()}
        self.known: dict[Key, Losses] = {}

    @property
    def count(self) -> int:
        """The number of runs so far."""
        return len(self.known) * len(self._seeds)

    def measure(self, settings: Sequence[Setting]) -> list[Losses]:
        """The losses of each setting, by seed. Trains those that are not known.

        Raises OutOfBudget before the limit would be exceeded, and RunMissing.
        """
        keys = [(name_of(setting, self._old), setting[LR]) for setting in settings]
        new = [key for key in dict.fromkeys(keys) if key not in self.known]
        if self.count + len(new) * len(self._seeds) > self._limit:
            raise OutOfBudget(f"the budget of {self._limit:g} runs of the base is spent")
        requests = [Request(RUNG, name, lr, seed, self._tokens) for name, lr in new for seed in self._seeds]
        found = [measured for (measured,) in self._lab.measure(requests, payer=self._payer)] if requests else []
        for m in found:
            if m.verdict not in ("finished", "diverged"):
                raise RunMissing(f"{m.verdict} run: {m.parametrization}, lr {m.lr:.4g}, seed {m.seed}: {m.message}")
        for i, key in enumerate(new):
            self.known[key] = tuple(m.loss for m in found[i * len(self._seeds) : (i + 1) * len(self._seeds)])
        return [self.known[key] for key in keys]

    def of(self, setting: Setting) -> Losses | None:
        """The losses of one setting; None if it was not measured."""
        return self.known.get((name_of(setting, self._old), setting[LR]))


class Played:
    """A lab that knows only earlier measurements. A search on it repeats the earlier search until a run is missing."""

    def __init__(self, measurements: Sequence[Measurement]) -> None:
        self._known = {(m.parametrization, m.lr, m.seed): m for m in measurements}

    def measure(self, requests: Sequence[Request], *, payer: str) -> list[list[Measurement]]:
        """The stored measurement of each request. Raises RunMissing if there is none."""
        for request in requests:
            if (request.parametrization, request.lr, request.seed) not in self._known:
                raise RunMissing(f"not run yet: {request.parametrization}, lr {request.lr:.4g}, seed {request.seed}")
        return [[self._known[request.parametrization, request.lr, request.seed]] for request in requests]

    def cost_flops(self, payer: str) -> float:
        """Zero, because earlier measurements are not charged again."""
        return 0.0

    def flops(self, request: Request) -> float:
        """Zero, because earlier measurements are not charged again."""
        return 0.0
