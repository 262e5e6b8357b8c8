"""A lab without training: losses from a known law, so that tests know the answer."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paradigms.base import Measurement, ParametrizationName, Request, Rung

DECAY_FRACTION = 0.2  # of each horizon, after its branch from the trunk; the study's default
# Loss at the best LR, nats: Chinchilla's fit, arXiv 2203.15556. Only its trend matters here.
FLOOR, SIZE_SCALE, SIZE_POWER, TOKEN_SCALE, TOKEN_POWER = 1.69, 406.4, 0.34, 410.7, 0.28


@dataclass(frozen=True)
class TrueLaw:
    """lr* = k N_active^-u D^-v in sp. In mup N counts as `mup_base` active parameters, but for a drift of transfer."""

    k: float
    u: float
    v: float
    mup_base: int = 1
    mup_drift: float = 0.0  # mup: lr* falls as (N / mup_base)^-mup_drift

    def lr(self, n_active: int, tokens: int, parametrization: ParametrizationName) -> float:
        """The best LR."""
        if parametrization == "sp":
            return float(self.k * n_active**-self.u * tokens**-self.v)
        base = self.k * self.mup_base**-self.u * tokens**-self.v
        return float(base * (n_active / self.mup_base) ** -self.mup_drift)


class SimulatedLab:
    """Loss = floor(N, D) + curvature (ln lr - ln lr*)^2 + noise, in nats; diverged above `diverge_above` times lr*.

    The noise depends on the run and the horizon alone, so that a run asked twice gives the same loss. A payer is
    charged each distinct run once: the trunk to the last branch point and the decay to each horizon.
    """

    def __init__(
        self,
        rungs: Sequence[Rung],
        law: TrueLaw,
        *,
        curvature: float = 0.02,
        noise_sd: float = 0.003,
        seed: int = 0,
        diverge_above: float = math.inf,
    ) -> None:
        self.rungs = {rung.name: rung for rung in rungs}
        self.law = law
        self.curvature = curvature
        self.noise_sd = noise_sd
        self.seed = seed
        self.diverge_above = diverge_above
        self.calls = 0
        self._charged: dict[str, dict[Request, float]] = {}

    def measure(self, requests: Sequence[Request], *, payer: str) -> list[list[Measurement]]:
        """One measurement per request and horizon. Raises KeyError for an unknown rung."""
        self.calls += 1
        charged = self._charged.setdefault(payer, {})
        for request in requests:
            charged[request._replace(horizons=tuple(sorted(request.horizons)))] = self.flops(request)
        return [[self._read(request, horizon) for horizon in request.horizons] for request in requests]

    def cost_flops(self, payer: str) -> float:
        return math.fsum(self._charged.get(payer, {}).values())

    def flops(self, request: Request) -> float:
        """Planned training FLOPs of the run."""
        trunk = (1 - DECAY_FRACTION) * max(request.horizons)
        return self.rungs[request.rung].flops_per_token * (trunk + DECAY_FRACTION * sum(request.horizons))

    def _read(self, request: Request, horizon: int) -> Measurement:
        rung = self.rungs[request.rung]
        best = self.law.lr(rung.n_active, horizon, request.parametrization)
        diverged = request.lr > self.diverge_above * best
        floor = FLOOR + SIZE_SCALE * rung.n_active**-SIZE_POWER + TOKEN_SCALE * horizon**-TOKEN_POWER
        loss = floor + self.curvature * math.log(request.lr / best) ** 2 + self._noise(request, horizon)
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
            message=f"lr above {self.diverge_above:g} times the best" if diverged else "",
        )

    def _noise(self, request: Request, horizon: int) -> float:
        key = _digest((self.seed, tuple(request._replace(horizons=(horizon,)))))
        return self.noise_sd * float(np.random.default_rng(int.from_bytes(key)).standard_normal())


def _digest(key: object) -> bytes:
    return hashlib.sha256(repr(key).encode()).digest()
