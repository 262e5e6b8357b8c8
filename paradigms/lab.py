"""What a paradigm sees: rungs, requests, and a lab that measures them. Plain Python, no torch."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, NamedTuple, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WrapValidator

from lrladder.paradigms.metrics import Metrics

Verdict = Literal["finished", "diverged", "failed"]  # how a trial ended
RANKS: dict[str, int] = {"finished": 0, "diverged": 1, "failed": 2}  # of verdicts; the worst last
Part = Literal["proxy", "target", "goal"]  # of the ladder; the `Rung` says what each means
ParametrizationName = str  # "sp" is standard parametrization, "mup" has muTransfer's rules


class Rung(Protocol):
    """One model size of the ladder. Parameter counts are non-embedding; horizons and batch are in tokens.

    A paradigm may search a proxy; a target is held out and trained to score; a goal is answered for and never trained.
    """

    @property
    def name(self) -> str: ...
    @property
    def part(self) -> Part: ...
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


AnyRung = TypeVar("AnyRung", bound=Rung)


def largest_aim(ladder: Sequence[AnyRung]) -> AnyRung | None:
    """The target or goal whose one run, at its longest horizon, costs most; None in a ladder of proxies alone.

    Budgets are counted in this run, and a search that looks ahead looks here.
    """
    aims = [rung for rung in ladder if rung.part != "proxy"]
    return max(aims, key=lambda rung: rung.flops_per_token * max(rung.horizons), default=None)


class Request(NamedTuple):
    """One training run that a lab is asked for, with a validation loss at each of `horizons` (tokens).

    `lr` is the study's LR. The rules of the parametrization compute from it the LR of each role at this model size,
    batch and horizon. `horizon_exponent` is the exponent of tokens under a fitted horizon rule; while it is searched it
    is None, and no rule by tokens is on. `role_lrs` has multipliers of the LR of whole roles.
    """

    rung: str
    parametrization: ParametrizationName
    lr: float
    seed: int
    horizons: tuple[int, ...]
    horizon_exponent: float | None = None
    role_lrs: tuple[tuple[str, float], ...] = ()


class Measured(BaseModel):
    """Result of one run at one horizon. `loss` is validation loss in nats per token; None unless it finished."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)  # built at first use

    trial_id: str
    lr: float
    seed: int
    horizon: int  # tokens
    verdict: Verdict
    loss: float | None = None
    loss_se: float | None = None  # nats, over validation documents; all runs share these, so errors are mostly common
    flops: float = 0.0  # planned training FLOPs of the whole run, with all its horizons
    seconds: float = 0.0  # wall seconds of the whole run
    setup_seconds: float = 0.0  # those of them before the first step: the engine, and compiling where it is needed
    trained_tokens: int = 0  # of the whole run; fewer than planned if it continued a stored trunk
    role_lrs: tuple[tuple[str, float], ...] = ()  # as in Request, in order of the roles
    expert_gemm: str | None = None  # GEMM that the experts ran on; None if nothing was trained
    compiled: bool = False  # by torch.compile
    # how it was trained, where that is not one device with the whole batch at once
    training: Mapping[str, int | str] = Field(default_factory=dict, exclude_if=lambda found: not found)
    metrics: Annotated[
        Mapping[str, float], WrapValidator(Metrics.validated), PlainSerializer(dict, return_type=dict[str, float])
    ] = Metrics({})
    message: str = ""  # why it diverged or failed


class Measurement(Measured):
    """A `Measured` with the names that the study uses for its rung and parametrization."""

    rung: str
    parametrization: ParametrizationName


class Lab(Protocol):
    """Where measurements come from: training, stored runs or a simulation.

    A payer is the name under which a paradigm asks. It is charged the full planned FLOPs of each distinct run it asks
    for, also when the result was stored already.
    """

    def measure(self, requests: Sequence[Request], *, payer: str) -> list[list[Measurement]]:
        """For each request, in order, one measurement per horizon. A diverged run is a result with loss None."""
        ...

    def cost_flops(self, payer: str) -> float:
        """FLOPs charged to `payer` so far."""
        ...

    def flops(self, request: Request) -> float:
        """Planned FLOPs that a payer would be charged for this run if it had not asked for it before."""
        ...
