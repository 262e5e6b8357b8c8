"""What a paradigm sees: rungs, a lab that measures, and the proposal it owes. Plain Python, no torch."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field

Verdict = Literal["finished", "diverged", "failed"]  # how a trial ended
ParametrizationName = str  # names the rules in use: "sp" is the standard parametrization, "mup" muTransfer's


class Rung(Protocol):
    """One model size of the ladder; counts are non-embedding, horizons and batch are in tokens."""

    @property
    def name(self) -> str: ...
    @property
    def part(self) -> Literal["proxy", "target"]: ...
    @property
    def n_total(self) -> int: ...
    @property
    def n_active(self) -> int: ...
    @property
    def batch_tokens(self) -> int: ...
    @property
    def horizons(self) -> tuple[int, ...]: ...
    @property
    def flops_per_token(self) -> int: ...


class Request(NamedTuple):
    """One training run asked of a lab, read at each of `horizons` (tokens).

    `lr` is the study's LR: the rules of the parametrization turn it into that of each role, model size, batch and
    horizon. `horizon_exponent` serves a horizon rule that is fitted; `role_lrs` multiplies the LR of whole roles.
    """

    rung: str
    parametrization: ParametrizationName
    lr: float
    seed: int
    horizons: tuple[int, ...]
    horizon_exponent: float | None = None
    role_lrs: tuple[tuple[str, float], ...] = ()


class Measured(BaseModel):
    """What one run gave at one horizon. `loss` is validation loss in nats per token; None unless finished."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trial_id: str
    lr: float
    seed: int
    horizon: int  # tokens
    verdict: Verdict
    loss: float | None = None
    loss_se: float | None = None  # nats; over validation documents: the same for all runs, so mostly common to them
    flops: float = 0.0  # planned training FLOPs of the whole run, shared by its horizons
    seconds: float = 0.0  # wall seconds of the whole run
    trained_tokens: int = 0  # of the whole run; fewer than planned where it continued a stored trunk
    role_lrs: tuple[tuple[str, float], ...] = ()  # as in Request, in order of the roles
    expert_gemm: str | None = None  # what the experts ran on; None where nothing was trained
    compiled: bool = False  # by torch.compile, where trained
    metrics: Mapping[str, float] = Field(default_factory=dict)
    message: str = ""  # why it diverged or failed


class Measurement(Measured):
    """With the names by which a study asked for it."""

    rung: str
    parametrization: ParametrizationName


class Lab(Protocol):
    """Where measurements come from. Every payer is charged the full planned FLOPs of each distinct run it asks for."""

    def measure(self, requests: Sequence[Request], *, payer: str) -> list[list[Measurement]]:
        """For each request, in order, one measurement per horizon. A diverged run is a result; loss is None."""
        ...

    def cost_flops(self, payer: str) -> float:
        """FLOPs charged to `payer` so far."""
        ...

    def flops(self, request: Request) -> float:
        """Planned FLOPs that a payer who had not asked for this run would be charged."""
        ...
