"""All that a run needs set, by what each parameter is. benchmark.training.recipe reads it off a trial."""

from pydantic import Field

from lrladder.benchmark.documents import Frozen


class Setting(Frozen):
    """What parameters of one kind get. `init_std` None: start at ones; `forward` multiplies what they compute."""

    role: str  # models.roles.Role
    kind: str  # the role, or a part of it that has values of its own, as attention_out
    example: str  # name of one such parameter in our model
    lr: float  # peak
    weight_decay: float  # PyTorch's: a step shrinks by lr * weight_decay
    eps: float
    init_std: float | None
    forward: float


class Recipe(Frozen):
    """One run, ready to be set. `lr` is the study's LR, from which the rules made those of the settings."""

    parametrization: str
    tokens: int
    batch_tokens: int
    lr: float
    token_factor: float  # in every peak LR, for this batch and horizon
    horizon_exponent: float | None
    lr_ratios: dict[str, float] = Field(default_factory=dict)  # of roles over the matrices' LR at the base, in theirs
    role_lrs: tuple[tuple[str, float], ...]  # multipliers of whole roles beyond the rules, in the LRs of the settings
    beta1: float
    beta2: float
    grad_clip: float
    tau_ema: float | None  # fraction of the run that AdamW averages over, of the attention matrices; None without decay
    settings: tuple[Setting, ...]
    schedule: str = ""  # in words; empty in results of an older version
