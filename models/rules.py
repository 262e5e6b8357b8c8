"""The rule table: role -> init std, forward multiplier, LR, weight decay, eps. Pure arithmetic, no torch.

docs/theory.md has the table as `models.rule_text` prints it, all rules on, in the ratios of width, expert width and
depth to the base model. A shared expert follows the routed ones, with the ratio of its own width. The token rule
(`token_rule`) multiplies all LRs, decays and eps alike.

Sources: width, Tensor Programs V, arXiv 2203.03466 table 8; router and experts, 2508.09752, 2601.20205 ("mf" is its
mean-field init); depth, CompleteP 2505.01618 (alpha 1) and Depth-muP 2310.02244 (alpha 1/2); eps, 2505.01618 and
2601.20205; decay, 2510.19093. The combination is ours; docs/theory.md says how sure we are.
"""

from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from lrladder.models.roles import Role, Tag
from lrladder.paradigms.published import POWER_B, POWER_D, POWER_LINES_TAU, SDE_B

DEPTH_ALPHA = {"completep": 1.0, "depth_mup": 0.5}


class Rules(BaseModel):
    """Which rules a parametrization applies. The defaults, all off, are standard parametrization."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: bool = False  # dense roles and expert up: init, LR, and the head's multiplier
    router: bool = False
    experts: Literal["none", "mf", "fi"] = "none"  # expert and shared down: LR by its own fan-in; which init
    depth: Literal["none", "depth_mup", "completep"] = "none"
    weight_decay: Literal["standard", "sqrt", "independent"] = "standard"  # how decay answers to the width rule's LR
    eps: bool = False
    horizon: Literal["none", "sde", "power", "fitted"] = "none"  # LR by tokens and batch
    betas: bool = False  # Adam's betas and eps by tokens and batch
    decay_horizon: Literal["none", "tau", "power_lines"] = "none"  # decay by tokens and batch

    @property
    def by_tokens(self) -> bool:
        """Whether anything depends on the token horizon, so that horizons cannot share a trunk."""
        return self.horizon != "none" or self.betas or self.decay_horizon != "none"


STANDARD = Rules()
# The choice of each switch is ours, docs/theory.md. Betas stay: moved with the horizon they kept the best LR in place
# but cost 0.1 nats at 4x the tokens (docs/findings.md).
MUTRANSFER = Rules(
    width=True,
    router=True,
    experts="mf",
    depth="completep",
    weight_decay="independent",
    eps=True,
    horizon="sde",
    decay_horizon="tau",
)


class Rule(NamedTuple):
    """What one parameter gets: init std (None: ones), forward multiplier, and multipliers on lr, decay and eps."""

    init_std: float | None
    forward: float
    lr: float
    weight_decay: float
    eps: float


class Ratios(NamedTuple):
    """To the base: of one parameter's fan-in and fan-out where these are widths, and of the depth."""

    fan_in: float = 1.0
    fan_out: float = 1.0
    depth: float = 1.0


class TokenRule(NamedTuple):
    """Multipliers of every LR, decay and eps, and of 1 - beta, for a batch and a token horizon."""

    lr: float = 1.0
    weight_decay: float = 1.0
    eps: float = 1.0
    one_minus_beta: float = 1.0


AT_BASE = TokenRule()


def rule(rules: Rules, tag: Tag, ratios: Ratios, *, depth: int, embedding_std: float) -> Rule:
    """The table for one parameter of a model of `depth` blocks."""
    width, eps = _width_rule(rules, tag, ratios, embedding_std)
    if not tag.in_block:
        return width._replace(eps=eps if rules.eps else 1.0)
    alpha = DEPTH_ALPHA.get(rules.depth)
    base_depth = depth if alpha is None else depth / ratios.depth
    m_depth = 1.0 if alpha is None else ratios.depth
    alpha = 1.0 if alpha is None else alpha
    residual = (2 * base_depth) ** -0.5 if tag.writes_residual else 1.0  # GPT-2's init
    return Rule(
        init_std=None if width.init_std is None else width.init_std * residual,
        forward=width.forward * (m_depth**-alpha if tag.writes_residual else 1.0),
        lr=width.lr * m_depth ** (alpha - 1),
        weight_decay=width.weight_decay,
        eps=eps * m_depth**-alpha if rules.eps else 1.0,
    )


def _width_rule(rules: Rules, tag: Tag, ratios: Ratios, embedding_std: float) -> tuple[Rule, float]:
    """The table without its depth factors, and the eps multiplier that the eps rule would apply."""
    m_in, m_out = ratios.fan_in, ratios.fan_out
    std = tag.fan_in**-0.5
    match tag.role:
        case Role.EMBEDDING:
            return Rule(embedding_std, 1.0, 1.0, 0.0, 1.0), 1 / m_out
        case Role.NORM:
            return Rule(None, 1.0, 1.0, 0.0, 1.0), 1.0
        case Role.HEAD:
            m = m_in if rules.width else 1.0
            return Rule(std * m**0.5, 1 / m, 1.0, 0.0, 1.0), 1 / m_in
        case Role.ROUTER:
            m = m_in if rules.router else 1.0
            return Rule(std * m**-0.5, 1.0, 1 / m, 0.0, 1.0), 1.0
        case Role.ATTENTION:
            return _hidden(rules, std, m_in if rules.width else 1.0), 1 / m_in
        case Role.EXPERT_UP | Role.SHARED_UP:
            return _hidden(rules, std, m_in if rules.width else 1.0), 1 / m_out
        case Role.EXPERT_DOWN | Role.SHARED_DOWN:
            mean_field = (m_out / m_in) ** 0.5 if rules.experts == "mf" else 1.0
            return _hidden(rules, std * mean_field, 1.0 if rules.experts == "none" else m_in), m_out / m_in**2


def _hidden(rules: Rules, std: float, m: float) -> Rule:
    decay = {"standard": 1.0, "sqrt": m**0.5, "independent": m}[rules.weight_decay]
    return Rule(std, 1.0, 1 / m, decay, 1.0)


def token_rule(
    rules: Rules, *, m_batch: float, m_tokens: float, m_size: float = 1.0, exponent: float | None = None
) -> TokenRule:
    """LR and decay for a batch and a token horizon, given as ratios to the base; `m_size` is that of active parameters.

    sde: sqrt(m_batch / m_tokens), arXiv 2512.22382, and where `betas` is on Adam's betas and eps as in 2205.10287.
    power: m_batch * m_tokens^exponent, linear in the batch, 2408.13359. fitted: sqrt(m_batch) * m_tokens^exponent, its
    batch part an assumption. Decay: `tau` keeps tau_EMA = batch / (lr decay tokens), 2405.13698; `power_lines`
    moves it with a power of tokens / parameters, 2505.13738. Raises ValueError for a fitted rule without its exponent.
    """
    lr = _horizon_lr(rules, m_batch, m_tokens, exponent)
    per_token = m_batch / m_tokens
    decay = {
        "none": 1.0,
        "tau": per_token / lr,
        "power_lines": per_token / lr * (m_tokens / m_size) ** -POWER_LINES_TAU,
    }[rules.decay_horizon]
    if not rules.betas:
        return TokenRule(lr, decay)
    return TokenRule(lr, decay, eps=per_token**-0.5, one_minus_beta=per_token)


def _horizon_lr(rules: Rules, m_batch: float, m_tokens: float, exponent: float | None) -> float:
    match rules.horizon:
        case "none":
            return 1.0
        case "sde":
            return float((m_batch / m_tokens) ** SDE_B)
        case "power":
            return float(m_batch**POWER_B * m_tokens ** (POWER_D if exponent is None else exponent))
        case "fitted":
            if exponent is None:
                raise ValueError("a fitted horizon rule needs its exponent")
            return float(m_batch**SDE_B * m_tokens**exponent)
