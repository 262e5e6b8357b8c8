"""A lab that computes losses from a known law. The right answer is known, and any ladder takes seconds."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from lrladder.benchmark.lab.truth import Bowl, TrueLaw
from lrladder.benchmark.schedules import ScheduleConfig
from lrladder.paradigms import published
from lrladder.paradigms.lab import Measurement, ParametrizationName, Request, Rung

SCHEDULE = ScheduleConfig(warmup_tokens=1)  # WSD, the default of a study; the warm-up does not change the cost


class SimulatedLab:
    """A lab whose losses are `loss_floor` + a bowl around the best LR of a law. `bowl` takes the fields of Bowl.

    The noise depends only on the run and the horizon, so a repeated request gives the same loss. A payer is charged
    once for each distinct run. `flops` gives the cost of a run; a study passes `resolve.planned_flops`. The default is
    the cost under WSD, where horizons share a trunk. With a fixed `grid`, as for published runs, other LRs are refused.
    `parametrizations` maps the label of an arm to its parametrization. The law does not depend on the schedule or the
    reading, so the best LR is the same under all arms of a parametrization.
    """

    def __init__(
        self,
        rungs: Sequence[Rung],
        law: TrueLaw,
        *,
        flops: Callable[[Request], float] | None = None,
        parametrizations: Mapping[str, ParametrizationName] | None = None,
        seed: int = 0,
        grid: Sequence[float] | None = None,
        **bowl: float,
    ) -> None:
        self.rungs = {rung.name: rung for rung in rungs}
        self.law = law
        self.bowl = Bowl(**bowl)
        self._flops = flops or self._wsd_flops
        self.seed = seed
        self.grid = None if grid is None else tuple(sorted(grid))
        self.calls = 0
        self._names = parametrizations or {}
        self._charged: dict[str, dict[Request, float]] = {}

    def lrs(self, rung: str) -> tuple[float, ...] | None:
        """The LRs that are available at a rung; None if every LR is."""
        return self.grid

    def measure(self, requests: Sequence[Request], *, payer: str) -> list[list[Measurement]]:
        """One measurement per request and horizon. Raises KeyError for an unknown rung or an LR off the grid."""
        self.calls += 1
        charged = self._charged.setdefault(payer, {})
        for request in requests:
            if self.grid is not None and request.lr not in self.grid:
                raise KeyError(f"{request.rung} has no run at lr {request.lr}")
            charged[request._replace(horizons=tuple(sorted(request.horizons)))] = self.flops(request)
        return [[self._read(request, horizon) for horizon in request.horizons] for request in requests]

    def cost_flops(self, payer: str) -> float:
        return math.fsum(self._charged.get(payer, {}).values())

    def flops(self, request: Request) -> float:
        """Planned training FLOPs of the run."""
        return self._flops(request)

    def _wsd_flops(self, request: Request) -> float:
        rung = self.rungs[request.rung]
        return float(rung.flops_per_token * SCHEDULE.run_tokens(request.horizons, rung.batch_tokens))

    def _read(self, request: Request, horizon: int) -> Measurement:
        rung = self.rungs[request.rung]
        best = self.law.best(rung, horizon, self._names.get(request.parametrization, request.parametrization))
        lr = request.lr * (horizon / self.law.mup_tokens) ** (request.horizon_exponent or 0.0)
        limit = self.bowl.diverge_above
        diverged = limit is not None and lr > limit * best
        loss = loss_floor(rung.n_active, horizon) + self.bowl.rise(math.log(lr / best)) + self._noise(request, horizon)
        return Measurement(
            trial_id=_digest(request._replace(horizons=tuple(sorted(request.horizons)))).hex()[:16],
            rung=request.rung,
            parametrization=request.parametrization,
            lr=request.lr,
            seed=request.seed,
            horizon=horizon,
            verdict="diverged" if diverged else "finished",
            loss=None if diverged else loss,
            flops=self.flops(request),
            role_lrs=tuple(sorted(request.role_lrs)),
            message=f"the LR is above {limit:g} times the best one" if diverged else "",
        )

    def _noise(self, request: Request, horizon: int) -> float:
        own = self._normal(tuple(request._replace(horizons=(horizon,))))
        if not self.bowl.common_sd:
            return self.bowl.noise_sd * own
        common = self._normal((request.rung, request.parametrization, request.seed, horizon))
        return self.bowl.noise_sd * own + self.bowl.common_sd * common

    def _normal(self, key: object) -> float:
        """A sample of the standard normal that depends only on the key and on the seed of the lab."""
        return float(np.random.default_rng(int.from_bytes(_digest((self.seed, key)))).standard_normal())


def loss_floor(n_active: int, tokens: int) -> float:
    """Loss at the best LR in nats, by the Chinchilla law. Only its trend matters here."""
    of_size = published.CHINCHILLA_N_SCALE * n_active**-published.CHINCHILLA_N_POWER
    of_tokens = published.CHINCHILLA_D_SCALE * tokens**-published.CHINCHILLA_D_POWER
    return float(published.CHINCHILLA_FLOOR + of_size + of_tokens)


def _digest(key: object) -> bytes:
    return hashlib.sha256(repr(key).encode()).digest()
