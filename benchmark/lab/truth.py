"""A known law of the best LR, and the loss around it: what a simulated lab takes for the truth."""

import math

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from lrladder.benchmark.config.strict import Strict
from lrladder.paradigms import published
from lrladder.paradigms.lab import ParametrizationName, Rung


class TrueLaw(Strict):
    """lr* = k N_active^-u D^-v B^w A^s in sp, with B batch tokens and A = N_active / N_total.

    In mup lr* has this value at N = `mup_base` and D = `mup_tokens`. From there it changes as
    (N / mup_base)^-mup_drift (D / mup_tokens)^-mup_v. If `mup_v` is null, v takes its place.
    """

    k: PositiveFloat
    """The factor k of the law: the LR where all other factors are 1."""
    u: float
    """Exponent of 1 / N, with N active parameters without embeddings."""
    v: float
    """Exponent of 1 / D, with D training tokens."""
    w: float = 0.0
    """Exponent of the batch in tokens."""
    s: float = 0.0
    """Exponent of the share of the parameters that one token uses."""
    mup_base: PositiveInt = 1
    """Active parameters of the base."""
    mup_drift: float = 0.0
    """Exponent of 1 / N that the size rules leave."""
    mup_tokens: PositiveInt = 1
    """Training tokens of the base."""
    mup_v: float | None = None
    """Exponent of 1 / D that a horizon rule leaves. null: v, as without such a rule."""

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
    """Rise of the loss in nats per squared ln of the LR."""
    steeper: PositiveFloat = 1.0
    """Factor on the curvature above the best LR."""
    plateau: PositiveFloat | None = None
    """Limit of the rise in nats, as if nothing were learnt. null: no limit."""
    diverge_above: PositiveFloat | None = None
    """Runs above this multiple of the best LR diverge. null: no run does."""
    noise_sd: NonNegativeFloat = published.STEP_LAW_NOISE
    """Standard deviation of the own noise of each run at each horizon, in nats."""
    common_sd: NonNegativeFloat = 0.0
    """Standard deviation, in nats, of the effect of a seed at a rung and horizon, which is the same for all LRs."""

    def rise(self, x: float) -> float:
        """Loss above the minimum at x = ln(lr / lr*), without noise."""
        rise = self.curvature * (self.steeper if x > 0 else 1.0) * x**2
        return rise if self.plateau is None else self.plateau * -math.expm1(-rise / self.plateau)
