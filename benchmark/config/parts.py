"""Parts of a config that several kinds of study share, with the sources of their defaults."""

from pydantic import Field, PositiveFloat

from lrladder.benchmark.config.corpus import CorpusConfig
from lrladder.benchmark.config.strict import Strict
from lrladder.models.roles import Role
from lrladder.paradigms.published import POWER_D
from lrladder.paradigms.settings import SearchSettings as SearchConfig
from lrladder.paradigms.settings import Seed

__all__ = ["CorpusConfig", "OptimizerConfig", "PowerConfig", "SearchConfig", "Seed", "Strict"]


class OptimizerConfig(Strict):
    """AdamW. The betas and clip are the usual LLM ones (arXiv 2005.14165 appendix B)."""

    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.95, ge=0, lt=1)
    eps: PositiveFloat = 1e-12  # too small to have an effect, so that muP needs no eps rule
    weight_decay: float = Field(0.1, ge=0)
    grad_clip: PositiveFloat = 1.0
    embedding_std: PositiveFloat = 1.0  # as in nanochat; 0.1 cost 0.36 nats at p48x3, docs/findings.md
    aux_loss_coef: float = Field(0.01, ge=0)  # Switch, arXiv 2101.03961
    z_loss_coef: float = Field(0.001, ge=0)  # ST-MoE, arXiv 2202.08906
    # A step of the experts' biases, where architecture.expert_bias is on; arXiv 2408.15664 found 0.001 best
    bias_rate: float = Field(0.001, ge=0, exclude_if=lambda rate: rate == 0.001)


class RecipeConfig(Strict):
    """The LRs of four roles at the base, each divided by the LR of the matrices.

    The rules of a parametrization and the LR multipliers of a role search multiply these LRs. At the base all
    parametrizations compute the same function, so one recipe serves all of them.
    """

    # These ratios change no weight decay, as none of these roles has any, and no eps, which is in units of gradients.
    embedding_lr: PositiveFloat = 1.0
    norm_lr: PositiveFloat = 1.0
    head_lr: PositiveFloat = 1.0
    router_lr: PositiveFloat = 1.0

    @property
    def role_lrs(self) -> dict[str, float]:
        """The ratio of each of the four roles. All other roles have the LR of the matrices."""
        return {
            Role.EMBEDDING: self.embedding_lr,
            Role.NORM: self.norm_lr,
            Role.HEAD: self.head_lr,
            Role.ROUTER: self.router_lr,
        }


class PowerConfig(Strict):
    """The Power schedule. Only its amplitude is tuned: by the best LR under another schedule."""

    exponent: float = Field(POWER_D, ge=-2, le=0)  # of tokens
    cap: float = Field(4.0, ge=1)  # of the LR, as a multiple of that best LR; see ScheduleConfig
