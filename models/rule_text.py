"""Prints the rule table of docs/theory.md from the code of models/rules.py, so that text and code cannot disagree.

`python -c "from lrladder.models.rule_text import table; print(table())"` prints it.
"""

import math
from fractions import Fraction
from typing import Literal, NamedTuple

from lrladder.models.roles import Role, Tag
from lrladder.models.rules import DEPTH_ALPHA, MUTRANSFER, Ratios, Rule, rule

# Width, expert width, dense width, rank of a latent and depth, each over that of the base
Axis = Literal["m_N", "m_h", "m_f", "m_r", "m_L"]
DepthRule = Literal["depth_mup", "completep"]
COLUMNS = ("init std", "forward", "LR / lr", "decay / wd", "eps / eps0")  # in the order of Rule
BASE_FAN, BASE_DEPTH = 64, 2  # any values would do, because the table shows only ratios to the base


class _Row(NamedTuple):
    """One kind of parameter, with the axes along which its fan-in and fan-out grow (None: they do not)."""

    name: str
    role: Role
    fan_in: Axis | None = None
    fan_out: Axis | None = None
    in_block: bool = True
    writes_residual: bool = False
    experts: Literal["mf", "fi"] = "mf"
    before_tied_head: bool = False


ROWS = (
    _Row("embedding", Role.EMBEDDING, None, "m_N", in_block=False),
    _Row("attention q, k, v", Role.ATTENTION, "m_N", "m_N"),
    _Row("attention out", Role.ATTENTION, "m_N", "m_N", writes_residual=True),
    _Row("bias of q, k, v", Role.BIAS, None, "m_N"),
    _Row("latent attention q_a", Role.Q_A, "m_N", "m_r"),
    _Row("latent attention kv_a", Role.KV_A, "m_N", "m_r"),
    _Row("latent attention q_b", Role.Q_B, "m_r", "m_N"),
    _Row("latent attention kv_b", Role.KV_B, "m_r", "m_N"),
    _Row("router", Role.ROUTER, "m_N"),
    _Row("expert gate and up", Role.EXPERT_UP, "m_N", "m_h"),
    _Row("expert down, `mf`", Role.EXPERT_DOWN, "m_h", "m_N", writes_residual=True),
    _Row("expert down, `fi`", Role.EXPERT_DOWN, "m_h", "m_N", writes_residual=True, experts="fi"),
    _Row("dense gate and up", Role.DENSE_UP, "m_N", "m_f"),
    _Row("dense down", Role.DENSE_DOWN, "m_f", "m_N", writes_residual=True),
    _Row("norm gain, in a block", Role.NORM),
    _Row("norm gain, final", Role.NORM, in_block=False),
    _Row("head, untied", Role.HEAD, "m_N", in_block=False),
    _Row("embedding and head, tied", Role.TIED, "m_N", in_block=False),
    _Row("norm gain, final, before a tied head", Role.NORM, in_block=False, before_tied_head=True),
)


def table() -> str:
    """The table in Markdown, with all rules on. Cells are products of powers of the ratios.

    sigma is the init std at the base.
    """
    lines = [("role", *COLUMNS), ("---",) * (1 + len(COLUMNS))]
    lines += [(row.name, *(_cell(row, column) for column in range(len(COLUMNS)))) for row in ROWS]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines).replace(" --- ", "---")


def _cell(row: _Row, column: int) -> str:
    base = _rule(row)[column]
    if base is None:
        return "1"  # the parameter starts at ones
    if base == 0:
        return "0"
    start = "sigma" if COLUMNS[column] == "init std" else ""
    axes: tuple[Axis, ...] = ("m_N", "m_h", "m_f", "m_r")
    powers = [_power(axis, _exponent(row, column, axis)) for axis in axes]
    return " ".join(part for part in (start, *powers, _depth_power(row, column)) if part) or "1"


def _exponent(row: _Row, column: int, axis: Axis, depth: DepthRule = "completep") -> Fraction:
    """Exponent of one ratio in a cell, found by doubling the ratio."""
    once, twice = _rule(row, depth=depth)[column], _rule(row, doubled=axis, depth=depth)[column]
    assert once is not None
    assert twice is not None
    return Fraction(math.log2(twice / once)).limit_denominator(8)


def _rule(row: _Row, *, doubled: Axis | None = None, depth: DepthRule = "completep") -> Rule:
    m: dict[Axis | None, int] = {"m_N": 1, "m_h": 1, "m_f": 1, "m_r": 1, "m_L": 1}
    m[doubled] = 2
    m[None] = 1  # a fan that does not grow
    fans = (BASE_FAN * m[row.fan_in], BASE_FAN * m[row.fan_out])
    tag = Tag(row.role, *fans, row.writes_residual, row.in_block, row.before_tied_head)
    rules = MUTRANSFER.model_copy(update={"experts": row.experts, "depth": depth})
    ratios = Ratios(m[row.fan_in], m[row.fan_out], m["m_L"], m["m_N"])
    return rule(rules, tag, ratios, depth=BASE_DEPTH * m["m_L"], embedding_std=1.0)


def _power(axis: Axis, exponent: Fraction) -> str:
    if exponent in (0, 1):
        return axis if exponent else ""
    return f"{axis}^{exponent}"


def _depth_power(row: _Row, column: int) -> str:
    """The power of m_L: its exponent is a constant plus a multiple of alpha, and two depth rules determine both."""
    half, one = _exponent(row, column, "m_L", "depth_mup"), _exponent(row, column, "m_L", "completep")
    slope = (one - half) / Fraction(DEPTH_ALPHA["completep"] - DEPTH_ALPHA["depth_mup"])
    constant = one - slope * Fraction(DEPTH_ALPHA["completep"])
    if not slope:
        return _power("m_L", constant)
    alpha = {1: "alpha", -1: "-alpha"}.get(int(slope), f"{slope} alpha")
    if not constant:
        return f"m_L^{alpha}"
    return f"m_L^({alpha}{'+' if constant > 0 else ''}{constant})"
