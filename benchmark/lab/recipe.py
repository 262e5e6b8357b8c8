"""All settings of a run, by kind of parameter. benchmark.training.recipe makes them from a trial."""

from pydantic import Field

from lrladder.benchmark.documents import Frozen


class Setting(Frozen):
    """The settings of one kind of parameter.

    An `init_std` of None means that all entries of the parameter start at `start`. `forward` multiplies the output of
    its layer.
    """

    role: str  # models.roles.Role
    kind: str  # the role, or a part of it with its own values, such as attention_out
    example: str  # name of one such parameter in our model
    lr: float  # peak
    weight_decay: float  # PyTorch's: a step shrinks the weight by lr * weight_decay
    eps: float
    init_std: float | None
    forward: float
    start: float = Field(1.0, exclude_if=lambda start: start == 1)  # other than 1 only where a multiplier was folded in

    def folded(self) -> "Setting":
        """Settings that give the same training without the multiplier c = `forward`.

        The weights and the LR are c times as large. Gradients are then 1/c as large, which does not change AdamW's
        update if eps is 1/c as large too. A step decays by lr * weight_decay, so the weight decay is 1/c as large.
        """
        c = self.forward
        return self.model_copy(
            update={
                "lr": self.lr * c,
                "weight_decay": self.weight_decay / c,
                "eps": self.eps / c,
                **({"start": self.start * c} if self.init_std is None else {"init_std": self.init_std * c}),
                "forward": 1.0,
            }
        )


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
    tau_ema: float | None  # part of the run over which AdamW averages attention matrices; None without weight decay
    settings: tuple[Setting, ...]
    schedule: str = ""  # in words; empty in results of an older version

    @property
    def lrs(self) -> dict[str, float]:
        """The peak LR of each kind of parameter."""
        return {setting.kind: setting.lr for setting in self.settings}

    @property
    def has_multipliers(self) -> bool:
        """Whether the output of some layer is multiplied by a factor other than 1."""
        return any(setting.forward != 1 for setting in self.settings)

    def folded(self) -> "Recipe":
        """The recipe for a model without multipliers.

        It trains as before, except that clipping by the global norm sees gradients of other sizes.
        """
        return self.model_copy(update={"settings": tuple(setting.folded() for setting in self.settings)})
