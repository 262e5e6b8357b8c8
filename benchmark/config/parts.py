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
    """Share of the average of gradients that one step keeps."""
    beta2: float = Field(0.95, ge=0, lt=1)
    """Share of the average of squared gradients that one step keeps."""
    eps: PositiveFloat = 1e-12
    """Added to the root of the squared gradients, in their unit. The default is too small to have an effect, so that
    muP needs no eps rule."""
    weight_decay: float = Field(0.1, ge=0)
    """Weight decay at the base. One step shrinks the weights by this number times the LR."""
    grad_clip: PositiveFloat = 1.0
    """Largest norm of all gradients together; longer ones are scaled down to it."""
    embedding_std: PositiveFloat = 1.0  # as in nanochat; 0.1 cost 0.36 nats at p48x3, docs/findings.md
    """Standard deviation of the token embedding at the start."""
    aux_loss_coef: float = Field(0.01, ge=0)  # Switch, arXiv 2101.03961
    """Factor of the balance loss, which evens out the load of the experts."""
    z_loss_coef: float = Field(0.001, ge=0)  # ST-MoE, arXiv 2202.08906
    """Factor of the router's z-loss, which keeps its logits small."""
    bias_rate: float = Field(0.001, ge=0, exclude_if=lambda rate: rate == 0.001)  # best in arXiv 2408.15664
    """By how much one step moves the bias of an expert, where architecture.expert_bias is on."""


class RecipeConfig(Strict):
    """The LRs of four roles at the base, each divided by the LR of the matrices.

    The rules of a parametrization and the LR multipliers of a role search multiply these LRs. At the base all
    parametrizations compute the same function, so one recipe serves all of them.
    """

    # These ratios change no weight decay, as none of these roles has any, and no eps, which is in units of gradients.
    embedding_lr: PositiveFloat = 1.0
    """LR of the token embedding, divided by that of the matrices."""
    norm_lr: PositiveFloat = 1.0
    """LR of the gains of all norms, divided by that of the matrices."""
    head_lr: PositiveFloat = 1.0
    """LR of the LM head, or of the matrix that is both embedding and head, divided by that of the matrices."""
    router_lr: PositiveFloat = 1.0
    """LR of the routers, divided by that of the matrices."""

    def role_lrs(self, *, tied: bool) -> dict[str, float]:
        """The ratio of each role that has one. All other roles have the LR of the matrices.

        `tied`: embedding and head are one matrix, which has the ratio of the head.
        """
        head = Role.TIED if tied else Role.HEAD
        embedding: dict[str, float] = {} if tied else {Role.EMBEDDING: self.embedding_lr}
        return {**embedding, Role.NORM: self.norm_lr, head: self.head_lr, Role.ROUTER: self.router_lr}


class PowerConfig(Strict):
    """The Power schedule. Only its amplitude is tuned: by the best LR under another schedule."""

    exponent: float = Field(POWER_D, ge=-2, le=0)
    """Exponent of the tokens in the power law of the LR."""
    cap: float = Field(4.0, ge=1)
    """Highest LR, as a multiple of that best LR."""
