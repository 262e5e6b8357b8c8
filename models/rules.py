"""The rule table: role -> init std, forward multiplier, LR, weight decay, eps. Pure arithmetic, no torch.

docs/theory.md shows the table with all rules on, as `models.rule_text` prints it. Its entries are powers of ratios to
the base model: width, expert width, rank of a latent and depth. A shared expert follows the rules of routed experts,
with the ratio of its own width. The one matrix of a tied model, both embedding and head, has the row of a head. The
multiplier of its logits stands in the row of the norm before it, because the embedding, which is the same matrix, has
no multiplier. The token rule (`token_rule`) multiplies the LRs of all roles by one factor, and so for decays and eps.

`embedding` and `norm` are for parametrizations without the width rule. Each multiplies the LR of its role by the width
ratio and changes nothing else. In such a parametrization the best LR of the matrices falls as the inverse of that
ratio, so the role keeps the LR that it has at the base.

Sources: width, Tensor Programs V, arXiv 2203.03466 table 8, whose form allows for a tied matrix; router and experts,
2508.09752, 2601.20205 (its mean-field init is "mf"); depth, CompleteP 2505.01618 (alpha 1) and Depth-muP 2310.02244
(alpha 1/2); eps, 2505.01618 and 2601.20205; decay, 2510.19093; embedding and norm alone, 2605.21486. The combination is
ours; docs/theory.md says how sure we are of each source.
"""

from typing import Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, model_validator

from lrladder.models.roles import Role, Tag
from lrladder.paradigms.published import FITTING_D, POWER_B, POWER_D, POWER_LINES_TAU, SDE_B

# Init std of a tied matrix, times the root of the width of its base. Logits then start at an sd of about this number,
# and the first loss about half its square above ln V: within 0.2, where 1 gives 0.5 (docs/theory.md). Our choice.
TIED_STD = 0.5
DEPTH_ALPHA = {"completep": 1.0, "depth_mup": 0.5}


class Rules(BaseModel):
    """Which rules a parametrization applies. By default all are off, which is standard parametrization."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)  # built at first use

    width: bool = False
    """Whether width changes the LR of attention, expert up and dense blocks, and init and multiplier of the head."""
    router: bool = False
    """Whether width changes init and LR of the router."""
    experts: Literal["none", "mf", "fi"] = "none"
    """Whether the fan-in of expert and shared down changes their LR (`fi`), or their LR and init (`mf`)."""
    depth: Literal["none", "depth_mup", "completep"] = "none"
    """How depth changes the LR and the multiplier of what blocks add."""
    weight_decay: Literal["standard", "sqrt", "independent"] = "standard"
    """Factor of the weight decay of a role whose LR a rule divides by m: 1, sqrt(m) or m."""
    eps: bool = False
    """Whether width and depth change AdamW's eps."""
    horizon: Literal["none", "wsd", "sde", "power", "fitted"] = "none"
    """How tokens and batch change the LR."""
    betas: bool = False
    """Whether tokens and batch change Adam's betas and eps."""
    decay_horizon: Literal["none", "tau", "power_lines"] = "none"
    """How tokens and batch change the weight decay."""
    embedding: bool = False
    """Whether the LR of the embedding is multiplied by the width ratio. Nothing else changes."""
    norm: bool = False
    """Whether the LR of the norms is multiplied by the width ratio. Nothing else changes."""

    @model_validator(mode="after")
    def _once(self) -> Self:
        if self.width and (self.embedding or self.norm):
            raise ValueError(
                "embedding and norm cannot be combined with width, which already raises the LRs of these roles "
                "relative to the LR of the matrices; turn off width, or the other two"
            )
        return self

    @property
    def by_tokens(self) -> bool:
        """Whether any rule depends on the token horizon. If so, runs to different horizons cannot share a trunk."""
        return self.horizon != "none" or self.betas or self.decay_horizon != "none"


STANDARD = Rules()
# The choice of each switch is ours (docs/theory.md). `betas` is off: when betas moved with the horizon, the best LR
# stayed better in place, but the loss at 4x the tokens was 0.1 nats higher. `horizon` is `wsd`, as `sde` leaves a
# drift of +0.14 and +0.22 octaves per doubling of the tokens (docs/findings.md).
MUTRANSFER = Rules(
    width=True,
    router=True,
    experts="mf",
    depth="completep",
    weight_decay="independent",
    eps=True,
    horizon="wsd",
    decay_horizon="tau",
)


class Rule(NamedTuple):
    """One parameter's init std (None: it starts at ones), forward multiplier, and multipliers of lr, decay and eps.

    An init std of 0 means that it starts at zeros.
    """

    init_std: float | None
    forward: float
    lr: float
    weight_decay: float
    eps: float


class Ratios(NamedTuple):
    """Ratios to the base: of a parameter's fan-in and fan-out (1 if they are not widths), and of depth and width."""

    fan_in: float = 1.0
    fan_out: float = 1.0
    depth: float = 1.0
    width: float = 1.0


class TokenRule(NamedTuple):
    """Multipliers for a batch and a token horizon: of all LRs, of all weight decays, of all eps, and of 1 - beta."""

    lr: float = 1.0
    weight_decay: float = 1.0
    eps: float = 1.0
    one_minus_beta: float = 1.0


AT_BASE = TokenRule()


def rule(rules: Rules, tag: Tag, ratios: Ratios, *, depth: int, embedding_std: float) -> Rule:
    """The table's row for one parameter of a model with `depth` blocks."""
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
    """The row without depth factors, and the multiplier of eps, which the caller uses if the eps rule is on."""
    m_in, m_out = ratios.fan_in, ratios.fan_out
    std = tag.fan_in**-0.5
    match tag.role:
        case Role.EMBEDDING:
            return Rule(embedding_std, 1.0, ratios.width if rules.embedding else 1.0, 0.0, 1.0), 1 / m_out
        case Role.NORM:
            m = ratios.width if rules.width and tag.before_tied_head else 1.0
            return Rule(None, 1 / m, ratios.width if rules.norm else 1.0, 0.0, 1.0), 1.0
        case Role.BIAS:
            return Rule(0.0, 1.0, 1.0, 0.0, 1.0), 1 / ratios.width
        case Role.HEAD:
            m = m_in if rules.width else 1.0
            return Rule(std * m**0.5, 1 / m, 1.0, 0.0, 1.0), 1 / m_in
        case Role.TIED:
            m = m_in if rules.width else 1.0
            return Rule(TIED_STD * std * m**0.5, 1.0, 1.0, 0.0, 1.0), 1 / m_in
        case Role.ROUTER:
            m = m_in if rules.router else 1.0
            return Rule(std * m**-0.5, 1.0, 1 / m, 0.0, 1.0), 1.0
        case Role.ATTENTION | Role.Q_A | Role.Q_B | Role.KV_A | Role.KV_B:
            return _hidden(rules, std, m_in if rules.width else 1.0), 1 / m_in
        case Role.DENSE_UP:
            return _hidden(rules, std, m_in if rules.width else 1.0), 1 / m_in
        case Role.DENSE_DOWN:
            return _hidden(rules, std, m_in if rules.width else 1.0), 1 / m_out
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
    """Multipliers for a batch and a token horizon, given as ratios to the base; `m_size`: that of active parameters.

    LR: `wsd` gives sqrt(m_batch) * m_tokens^-0.35, whose exponent was measured under that schedule, arXiv 2601.05049;
    `sde` gives sqrt(m_batch / m_tokens), 2512.22382; `power` gives m_batch * m_tokens^exponent, 2408.13359; `fitted`
    gives sqrt(m_batch) * m_tokens^exponent. In `wsd` and `fitted` the part of the batch is an assumption. Decay: `tau`
    keeps tau_EMA = batch / (lr decay tokens) constant, 2405.13698; `power_lines` makes it follow a power of tokens /
    parameters, 2505.13738. `betas` changes Adam's betas and eps as in 2205.10287. Raises ValueError for `fitted`
    without an exponent.
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
        case "wsd":
            return float(m_batch**SDE_B * m_tokens**FITTING_D)
        case "sde":
            return float((m_batch / m_tokens) ** SDE_B)
        case "power":
            return float(m_batch**POWER_B * m_tokens ** (POWER_D if exponent is None else exponent))
        case "fitted":
            if exponent is None:
                raise ValueError("a fitted horizon rule needs its exponent")
            return float(m_batch**SDE_B * m_tokens**exponent)
