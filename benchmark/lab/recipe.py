"""All settings of a run, by kind of parameter. benchmark.training.recipe makes them from a trial."""

from pydantic import Field

from lrladder.benchmark.documents import Frozen


class Setting(Frozen):
    """The settings of one kind of parameter. `init_std` None: starts at ones; `forward` multiplies what it computes."""

    role: str  # models.roles.Role
    kind: str  # the role, or a part of it with its own values, such as attention_out
    example: str  # name of one such parameter in our model
    lr: float  # peak
    weight_decay: float  # PyTorch's: a step shrinks the weight by lr * weight_decay
    eps: float
    init_std: float | None
    forward: float


class Recipe(Frozen):
    """The recipe of one run. `lr` is the study's LR; the rules multiply it to give the LRs of the settings."""

    parametrization: str
    tokens: int
    batch_tokens: int
    lr: float
    token_factor: float  # factor for batch and horizon, contained in every peak LR
    horizon_exponent: float | None
    # LRs of roles as multiples of the LR of the matrices at the base; contained in the LRs of the settings
    lr_ratios: dict[str, float] = Field(default_factory=dict)
    role_lrs: tuple[tuple[str, float], ...]  # multipliers of roles beside the rules, contained in the LRs
    beta1: float
    beta2: float
    grad_clip: float
    tau_ema: float | None  # part of the run over which AdamW averages attention matrices; None without decay
    settings: tuple[Setting, ...]
    schedule: str = ""  # in words; empty in results of an older version
