"""A known law of the best LR, and the loss around it: what a simulated lab takes for the truth."""

import math

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from lrladder.benchmark.config.strict import Strict
from lrladder.paradigms import published
from lrladder.paradigms.lab import ParametrizationName, Rung


class TrueLaw(Strict):
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


class Bowl(Strict):
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
