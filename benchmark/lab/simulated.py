"""A lab that computes losses from a known law. The right answer is known, and any ladder takes seconds."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat, PositiveInt

from lrladder.benchmark.schedules import ScheduleConfig
from lrladder.paradigms import published
from lrladder.paradigms.lab import Measurement, ParametrizationName, Request, Rung

SCHEDULE = ScheduleConfig(warmup_tokens=1)  # WSD, the default of a study; the warm-up does not change the cost


class _Truth(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TrueLaw(_Truth):
    """lr* = k N_active^-u D^-v B^w A^s in sp, with B batch tokens and A = N_active / N_total.

    In mup lr* has this value at N = `mup_base` and D = `mup_tokens`. From there it changes as
    (N / mup_base)^-mup_drift (D / mup_tokens)^-mup_v, with v for a `mup_v` of None.
    """

    k: PositiveFloat
    u: float
    v: float
    w: float = 0.0
    s: float = 0.0
    mup_base: PositiveInt = 1
    mup_drift: float = 0.0  # exponent that the size rules leave
    mup_tokens: PositiveInt = 1
    mup_v: float | None = None  # exponent that a horizon rule leaves; None: v, no rule

    def lr(
        self,
        n_active: int,
        tokens: int,
        parametrization: ParametrizationName,
        *,
        batch_tokens: int = 1,
        activation: float = 1.0,
    ) -> float:
        """The best LR of a model with `n_active` parameters, a share `activation` of which is active, at `tokens`."""
        level = self.k * batch_tokens**self.w * activation**self.s
        if parametrization == "sp":
            return float(level * n_active**-self.u * tokens**-self.v)
        base = level * self.mup_base**-self.u * self.mup_tokens**-self.v
        v = self.v if self.mup_v is None else self.mup_v
        return float(base * (n_active / self.mup_base) ** -self.mup_drift * (tokens / self.mup_tokens) ** -v)

    def best(self, rung: Rung, horizon: int, parametrization: ParametrizationName) -> float:
        """The best LR of a rung at a horizon."""
        return self.lr(
            rung.n_active,
            horizon,
            parametrization,
            batch_tokens=rung.batch_tokens,
            activation=rung.n_active / rung.n_total,
        )


class Bowl(_Truth):
    """The loss around lr*, in nats: curvature (ln lr - ln lr*)^2 plus noise. Defaults: Step Law's dense models."""

    curvature: PositiveFloat = published.STEP_LAW_CURVATURE
    steeper: PositiveFloat = 1.0  # factor on the curvature above lr*
    plateau: PositiveFloat | None = None  # nats; limit of the rise, as if nothing were learnt; None: no limit
    diverge_above: PositiveFloat | None = None  # runs above this factor times lr* diverge; None: no run does
    noise_sd: NonNegativeFloat = published.STEP_LAW_NOISE  # nats; own noise of each run at each horizon
    common_sd: NonNegativeFloat = 0.0  # nats; effect of a seed at a rung and horizon, the same for all LRs

    def rise(self, x: float) -> float:
        """Loss above the minimum at x = ln(lr / lr*), without noise."""
        rise = self.curvature * (self.steeper if x > 0 else 1.0) * x**2
        return rise if self.plateau is None else self.plateau * -math.expm1(-rise / self.plateau)


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
