"""The rule table: against a transcription by formula, and its properties."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lrladder.models.roles import Role, Tag
from lrladder.models.rule_text import ROWS, table
from lrladder.models.rules import MUTRANSFER, STANDARD, Ratios, Rule, Rules, TokenRule, rule, token_rule
from tests.paths import ROOT

RATIO = st.floats(0.25, 64)
BASE_WIDTH, BASE_HIDDEN, BASE_DEPTH = 32, 48, 2
TAGS = {
    Role.EMBEDDING: Tag(Role.EMBEDDING, 100, BASE_WIDTH, in_block=False),
    Role.ATTENTION: Tag(Role.ATTENTION, BASE_WIDTH, BASE_WIDTH, writes_residual=True),
    Role.Q_A: Tag(Role.Q_A, BASE_WIDTH, BASE_HIDDEN),
    Role.Q_B: Tag(Role.Q_B, BASE_HIDDEN, BASE_WIDTH),
    Role.KV_A: Tag(Role.KV_A, BASE_WIDTH, BASE_HIDDEN),
    Role.KV_B: Tag(Role.KV_B, BASE_HIDDEN, BASE_WIDTH),
    Role.ROUTER: Tag(Role.ROUTER, BASE_WIDTH, 8),
    Role.EXPERT_UP: Tag(Role.EXPERT_UP, BASE_WIDTH, 2 * BASE_HIDDEN),
    Role.EXPERT_DOWN: Tag(Role.EXPERT_DOWN, BASE_HIDDEN, BASE_WIDTH, writes_residual=True),
    Role.SHARED_UP: Tag(Role.SHARED_UP, BASE_WIDTH, 2 * BASE_HIDDEN),
    Role.SHARED_DOWN: Tag(Role.SHARED_DOWN, BASE_HIDDEN, BASE_WIDTH, writes_residual=True),
    Role.DENSE_UP: Tag(Role.DENSE_UP, BASE_WIDTH, 2 * BASE_HIDDEN),
    Role.DENSE_DOWN: Tag(Role.DENSE_DOWN, BASE_HIDDEN, BASE_WIDTH, writes_residual=True),
    Role.BIAS: Tag(Role.BIAS, 1, 3 * BASE_WIDTH),
    Role.NORM: Tag(Role.NORM, 1, BASE_WIDTH),
    Role.HEAD: Tag(Role.HEAD, BASE_WIDTH, 100, in_block=False),
    Role.TIED: Tag(Role.TIED, BASE_WIDTH, 100, in_block=False),
}


def _rule(rules: Rules, role: Role, *, m_n: float = 1, m_h: float = 1, m_l: float = 1) -> Rule:
    """The rule of a role whose widths are exactly m times the base's (fans need not be whole numbers here)."""
    ratios = {
        Role.EMBEDDING: (1, m_n),
        Role.ATTENTION: (m_n, m_n),
        Role.Q_A: (m_n, m_h),
        Role.Q_B: (m_h, m_n),
        Role.KV_A: (m_n, m_h),
        Role.KV_B: (m_h, m_n),
        Role.ROUTER: (m_n, 1),
        Role.EXPERT_UP: (m_n, m_h),
        Role.EXPERT_DOWN: (m_h, m_n),
        Role.SHARED_UP: (m_n, m_h),
        Role.SHARED_DOWN: (m_h, m_n),
        Role.DENSE_UP: (m_n, m_h),
        Role.DENSE_DOWN: (m_h, m_n),
        Role.BIAS: (1, m_n),
        Role.NORM: (1, 1),
        Role.HEAD: (m_n, 1),
        Role.TIED: (m_n, 1),
    }
    fan_in, fan_out = ratios[role]
    tag = TAGS[role]._replace(fan_in=TAGS[role].fan_in * fan_in)  # type: ignore[arg-type]
    depth = BASE_DEPTH * m_l
    return rule(rules, tag, Ratios(fan_in, fan_out, m_l, m_n), depth=depth, embedding_std=1.0)  # type: ignore[arg-type]


@given(m_n=RATIO, m_h=RATIO, m_l=RATIO, alpha=st.sampled_from([0.5, 1.0]), init=st.sampled_from(["mf", "fi"]))
def test_the_table_is_the_published_one(m_n: float, m_h: float, m_l: float, alpha: float, init: str) -> None:
    """Transcribed as multipliers of the base: init std, forward, LR, decay, eps."""
    block = m_l ** (alpha - 1)
    down_std = m_n**0.5 / m_h if init == "mf" else m_h**-0.5
    eps = m_l**-alpha
    table = {
        Role.EMBEDDING: (1, 1, 1, 0, 1 / m_n),
        Role.ATTENTION: (m_n**-0.5, m_l**-alpha, block / m_n, m_n, eps / m_n),
        Role.ROUTER: (1 / m_n, 1, block / m_n, 0, eps),
        Role.EXPERT_UP: (m_n**-0.5, 1, block / m_n, m_n, eps / m_h),
        Role.EXPERT_DOWN: (down_std, m_l**-alpha, block / m_h, m_h, eps * m_n / m_h**2),
        Role.DENSE_UP: (m_n**-0.5, 1, block / m_n, m_n, eps / m_n),  # m_h is here the ratio of their own width
        Role.DENSE_DOWN: (m_h**-0.5, m_l**-alpha, block / m_h, m_h, eps / m_n),
        Role.BIAS: (0, 1, block, 0, eps / m_n),
        Role.NORM: (None, 1, block, 0, eps),
        Role.HEAD: (1, 1 / m_n, 1, 0, 1 / m_n),
        Role.TIED: (1, 1, 1, 0, 1 / m_n),  # the norm before it multiplies the logits
    }
    table |= {Role.SHARED_UP: table[Role.EXPERT_UP], Role.SHARED_DOWN: table[Role.EXPERT_DOWN]}
    down, up = (m_n**-0.5, 1, block / m_n, m_n, eps / m_n), (m_h**-0.5, 1, block / m_h, m_h, eps / m_h)
    table |= {Role.Q_A: down, Role.KV_A: down, Role.Q_B: up, Role.KV_B: up}  # m_h is here the ratio of the rank
    depth = {0.5: "depth_mup", 1.0: "completep"}[alpha]
    rules = MUTRANSFER.model_copy(update={"experts": init, "depth": depth})
    for role, (std, *others) in table.items():
        got, base = _rule(rules, role, m_n=m_n, m_h=m_h, m_l=m_l), _rule(rules, role)
        if std == 0:
            assert got.init_std == 0
        elif std is not None:
            assert got.init_std is not None
            assert base.init_std is not None
            assert got.init_std / base.init_std == pytest.approx(std), role
        assert tuple(got[1:]) == pytest.approx(others), role


@pytest.mark.parametrize("rules", [STANDARD, MUTRANSFER], ids=["sp", "mup"])
def test_at_the_base_a_matrix_starts_at_one_over_the_root_of_its_fan_in(rules: Rules) -> None:
    """One that writes to the residual stream of L blocks starts at 1 / sqrt(2 L) of it (GPT-2), a tied one at half."""
    undecayed = (Role.EMBEDDING, Role.BIAS, Role.NORM, Role.HEAD, Role.TIED, Role.ROUTER)
    for role, tag in TAGS.items():
        got = rule(rules, tag, Ratios(), depth=8, embedding_std=0.7)
        root = tag.fan_in**-0.5
        std = {Role.EMBEDDING: 0.7, Role.BIAS: 0.0, Role.NORM: None, Role.TIED: root / 2}.get(role, root)
        assert got.init_std == (std and pytest.approx(std / (4 if tag.writes_residual else 1)))
        assert (got.forward, got.lr, got.eps) == pytest.approx((1, 1, 1))
        assert got.weight_decay == (0 if role in undecayed else 1)


def test_without_a_depth_rule_a_residual_matrix_starts_smaller_in_a_deeper_model() -> None:
    """With one, the init keeps the depth of the base, and the multiplier changes instead."""
    tag = TAGS[Role.ATTENTION]
    for depth, kept in (("none", 18), ("completep", 2), ("depth_mup", 2)):
        got = rule(Rules(depth=depth), tag, Ratios(depth=9.0), depth=18, embedding_std=1.0)  # type: ignore[arg-type]
        assert got.init_std == pytest.approx((2 * kept * BASE_WIDTH) ** -0.5)
        assert got.forward == pytest.approx({"none": 1, "completep": 1 / 9, "depth_mup": 1 / 3}[depth])


def test_the_theory_shows_the_table_that_the_code_prints() -> None:
    assert f"\n\n{table()}\n\n" in (ROOT / "docs" / "theory.md").read_text(encoding="utf-8")


def test_every_role_stands_in_the_printed_table() -> None:
    """But for shared experts, which the text beside it says follow the routed ones."""
    assert {row.role for row in ROWS} == set(Role) - {Role.SHARED_UP, Role.SHARED_DOWN}


def test_the_final_norm_knows_no_depth() -> None:
    tag = Tag(Role.NORM, 1, BASE_WIDTH, in_block=False)
    got = rule(MUTRANSFER, tag, Ratios(1, 4, 3), depth=3 * BASE_DEPTH, embedding_std=1.0)
    assert got == Rule(init_std=None, forward=1, lr=1, weight_decay=0, eps=1)


def test_the_norm_before_a_tied_head_has_the_multiplier_of_a_head() -> None:
    tag = Tag(Role.NORM, 1, BASE_WIDTH, in_block=False, before_tied_head=True)
    got = rule(MUTRANSFER, tag, Ratios(1, 1, 3, 4), depth=3 * BASE_DEPTH, embedding_std=1.0)
    assert got == Rule(init_std=None, forward=1 / 4, lr=1, weight_decay=0, eps=1)
    assert got.forward == _rule(MUTRANSFER, Role.HEAD, m_n=4).forward
    plain = rule(STANDARD, tag, Ratios(1, 1, 3, 4), depth=3 * BASE_DEPTH, embedding_std=1.0)
    assert plain.forward == 1


def _product(first: Rule, second: Rule, base: Rule) -> list[float]:
    return [(a or 1.0) * (b or 1.0) / (c or 1.0) for a, b, c in zip(first, second, base, strict=True)]


@given(first=RATIO, second=RATIO, axis=st.sampled_from(["m_n", "m_h", "m_l"]), role=st.sampled_from(list(TAGS)))
def test_multipliers_compose_along_an_axis(first: float, second: float, axis: str, role: Role) -> None:
    both = _rule(MUTRANSFER, role, **{axis: first * second})
    one, other, base = (_rule(MUTRANSFER, role, **{axis: m}) for m in (first, second, 1.0))
    assert [value or 1.0 for value in both] == pytest.approx(_product(one, other, base))


@given(m_n=RATIO, m_l=RATIO, role=st.sampled_from(list(TAGS)))
def test_axes_are_independent(m_n: float, m_l: float, role: Role) -> None:
    both = _rule(MUTRANSFER, role, m_n=m_n, m_l=m_l)
    wide, deep, base = (
        _rule(MUTRANSFER, role, m_n=m_n),
        _rule(MUTRANSFER, role, m_l=m_l),
        _rule(MUTRANSFER, role),
    )
    assert [value or 1.0 for value in both] == pytest.approx(_product(wide, deep, base))


@given(m_n=RATIO, m_h=RATIO, role=st.sampled_from([Role.ATTENTION, Role.EXPERT_UP, Role.EXPERT_DOWN]))
def test_independent_decay_shrinks_weights_alike_at_every_width(m_n: float, m_h: float, role: Role) -> None:
    got = _rule(MUTRANSFER.model_copy(update={"depth": "completep"}), role, m_n=m_n, m_h=m_h, m_l=3.0)
    assert got.lr * got.weight_decay == pytest.approx(1)


@given(m=RATIO)
def test_decay_variants_lie_between(m: float) -> None:
    values = [
        _rule(MUTRANSFER.model_copy(update={"weight_decay": name}), Role.ATTENTION, m_n=m).weight_decay
        for name in ("standard", "sqrt", "independent")
    ]
    assert values == pytest.approx([1, m**0.5, m])


@given(role=st.sampled_from(list(TAGS)), m_n=RATIO, m_h=RATIO)
def test_without_rules_lr_and_decay_know_no_size(role: Role, m_n: float, m_h: float) -> None:
    got = _rule(STANDARD, role, m_n=m_n, m_h=m_h)
    assert (got.forward, got.lr, got.eps) == (1, 1, 1)
    assert got.weight_decay in (0, 1)


@given(m_n=RATIO, m_h=RATIO, role=st.sampled_from(list(TAGS)), embedding=st.booleans(), norm=st.booleans())
def test_a_rule_of_one_role_multiplies_its_lr_alone(
    m_n: float, m_h: float, role: Role, embedding: bool, norm: bool
) -> None:
    """So where the best LR falls as 1 / m_N, the role keeps its LR of the base."""
    got = _rule(Rules(embedding=embedding, norm=norm), role, m_n=m_n, m_h=m_h)
    standard = _rule(STANDARD, role, m_n=m_n, m_h=m_h)
    is_moved = (role is Role.EMBEDDING and embedding) or (role is Role.NORM and norm)
    assert got == standard._replace(lr=m_n if is_moved else 1.0)


@pytest.mark.parametrize("switch", ["embedding", "norm"])
def test_a_rule_of_one_role_is_refused_beside_the_width_rule(switch: str) -> None:
    with pytest.raises(ValidationError, match="cannot be combined with width"):
        Rules.model_validate({"width": True, switch: True})


HORIZONS = st.sampled_from(["none", "wsd", "sde", "power", "fitted"])
DECAYS = st.sampled_from(["none", "tau", "power_lines"])


@given(horizon=HORIZONS, decay=DECAYS, betas=st.booleans(), exponent=st.floats(-1, 0))
def test_at_the_base_batch_and_horizon_nothing_is_multiplied(
    horizon: str, decay: str, betas: bool, exponent: float
) -> None:
    rules = Rules.model_validate({"horizon": horizon, "decay_horizon": decay, "betas": betas})
    assert token_rule(rules, m_batch=1, m_tokens=1, exponent=exponent) == (1, 1, 1, 1)


@given(m_batch=RATIO, m_tokens=RATIO, horizon=HORIZONS)
def test_the_tau_rule_keeps_tau(m_batch: float, m_tokens: float, horizon: str) -> None:
    """tau_EMA = batch / (lr decay tokens), arXiv 2505.13738."""
    got = token_rule(
        Rules.model_validate({"horizon": horizon, "decay_horizon": "tau"}),
        m_batch=m_batch,
        m_tokens=m_tokens,
        exponent=-0.3,
    )
    assert m_batch / (got.lr * got.weight_decay * m_tokens) == pytest.approx(1)


@given(
    horizon=HORIZONS,
    decay=DECAYS,
    betas=st.booleans(),
    batch=st.tuples(RATIO, RATIO),
    tokens=st.tuples(RATIO, RATIO),
    size=st.tuples(RATIO, RATIO),
)
def test_token_rules_compose_along_batch_tokens_and_size(
    horizon: str,
    decay: str,
    betas: bool,
    batch: tuple[float, float],
    tokens: tuple[float, float],
    size: tuple[float, float],
) -> None:
    """All three move at once, so each axis alone, the others at 1, is a case of it."""
    rules = Rules.model_validate({"horizon": horizon, "decay_horizon": decay, "betas": betas})

    def at(m_batch: float, m_tokens: float, m_size: float) -> TokenRule:
        return token_rule(rules, m_batch=m_batch, m_tokens=m_tokens, m_size=m_size, exponent=-0.3)

    parts = zip(at(batch[0], tokens[0], size[0]), at(batch[1], tokens[1], size[1]), strict=True)
    whole = at(math.prod(batch), math.prod(tokens), math.prod(size))
    assert whole == pytest.approx([one * other for one, other in parts])


@given(m_batch=RATIO, m_tokens=RATIO)
def test_the_sde_rule(m_batch: float, m_tokens: float) -> None:
    s = math.sqrt(m_batch / m_tokens)
    rules = MUTRANSFER.model_copy(update={"horizon": "sde"})
    got = token_rule(rules.model_copy(update={"betas": True}), m_batch=m_batch, m_tokens=m_tokens)
    assert got == pytest.approx((s, s, 1 / s, s * s))
    assert token_rule(rules, m_batch=m_batch, m_tokens=m_tokens) == pytest.approx((s, s, 1, 1))


@given(m_batch=RATIO, m_tokens=RATIO)
def test_the_default_follows_the_exponent_of_moe_models_under_wsd(m_batch: float, m_tokens: float) -> None:
    """lr ~ D^-0.3509, arXiv 2601.05049 eq. 6, and the square root of the batch."""
    got = token_rule(MUTRANSFER, m_batch=m_batch, m_tokens=m_tokens)
    lr = m_batch**0.5 * m_tokens**-0.3509
    assert got == pytest.approx((lr, m_batch / m_tokens / lr, 1, 1))


@given(m_batch=RATIO, m_tokens=RATIO, m_size=RATIO)
def test_power_lines_moves_tau_with_tokens_per_parameter(m_batch: float, m_tokens: float, m_size: float) -> None:
    got = token_rule(Rules(decay_horizon="power_lines"), m_batch=m_batch, m_tokens=m_tokens, m_size=m_size)
    tau = m_batch / (got.lr * got.weight_decay * m_tokens)
    assert tau == pytest.approx((m_tokens / m_size) ** -0.527)


@pytest.mark.parametrize(
    ("changes", "by"),
    [({}, False), ({"betas": True}, True), ({"decay_horizon": "tau"}, True), ({"decay_horizon": "power_lines"}, True)]
    + [({"horizon": name}, True) for name in ("wsd", "sde", "power", "fitted")],
)
def test_only_rules_of_tokens_keep_horizons_from_sharing_a_trunk(changes: dict[str, object], by: bool) -> None:
    sizes = {"width": True, "router": True, "experts": "fi", "depth": "completep", "eps": True}
    assert Rules.model_validate(changes).by_tokens == Rules.model_validate({**sizes, **changes}).by_tokens == by


def test_a_power_rule_takes_the_published_exponent_unless_given_one() -> None:
    rules = Rules(horizon="power")
    assert token_rule(rules, m_batch=2, m_tokens=4).lr == pytest.approx(2 * 4**-0.51)
    assert token_rule(rules, m_batch=2, m_tokens=4, exponent=-0.3).lr == pytest.approx(2 * 4**-0.3)


def test_a_fitted_rule_needs_its_exponent() -> None:
    with pytest.raises(ValueError, match="exponent"):
        token_rule(Rules(horizon="fitted"), m_batch=1, m_tokens=2)
