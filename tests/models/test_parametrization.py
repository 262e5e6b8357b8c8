"""mup as the oracle for dense roles; properties of the rule table for the rest."""

import sys

import mup
import pytest
import torch

from models.parametrization import build, param_groups, width_ratio
from models.roles import Role, tag_of
from models.shape import ModelShape
from models.transformer import Transformer
from tests.models.shapes import dense_shape, moe_shape

LR, DECAY = 0.01, 0.1


def _build(name: str, shape: ModelShape, base: ModelShape) -> tuple[Transformer, dict]:  # type: ignore[type-arg]
    return build(name, shape, base, backend="grouped", embedding_std=0.1, seed=0)  # type: ignore[arg-type]


def _effective(groups: list[dict], model: Transformer) -> dict[str, tuple[float, float]]:  # type: ignore[type-arg]
    names = {id(param): name for name, param in model.named_parameters()}
    return {names[id(p)]: (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}


@pytest.mark.parametrize("changes", [{"width": 64, "expert_width": 64}, {"width": 96, "expert_width": 160, "depth": 3}])
def test_dense_groups_equal_mups_adamw(changes: dict[str, int]) -> None:
    """mup decides LR and decay of each dense parameter; embedding, norms and head are handed to it without decay."""
    model, rules = _build("mup", dense_shape(**changes), dense_shape())
    ours = _effective(param_groups(model, rules, lr=LR, weight_decay=DECAY), model)
    vector_roles = (Role.EMBEDDING, Role.NORM, Role.HEAD)
    by_role = {name: tag_of(param, name).role in vector_roles for name, param in model.named_parameters()}
    matrices = [param for name, param in model.named_parameters() if not by_role[name]]
    vectors = [param for name, param in model.named_parameters() if by_role[name]]
    oracle = mup.MuAdamW([{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0}], lr=LR)
    expected = _effective(oracle.param_groups, model)
    assert ours.keys() == expected.keys()
    for name, values in expected.items():
        assert ours[name] == pytest.approx(values, rel=1e-15), name  # lr / m against lr * (1 / m): one rounding


def test_head_equals_mups_readout() -> None:
    base, shape = dense_shape(), dense_shape(width=128, expert_width=128)
    model, _ = _build("mup", shape, base)
    readouts = [mup.MuReadout(s.width, s.vocab_size, bias=False) for s in (base, dense_shape(width=64), shape)]
    mup.set_base_shapes(readouts[2], readouts[0], delta=readouts[1], rescale_params=False)
    with torch.no_grad():
        readouts[2].weight.copy_(model.head)
    x = torch.randn(5, shape.width, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close((x * model.head_multiplier) @ model.head.T, readouts[2](x))


def test_base_shape_is_the_same_function_under_both() -> None:
    shape = moe_shape(shared_width=16)
    (sp, sp_rules), (mu, mu_rules) = _build("sp", shape, shape), _build("mup", shape, shape)
    assert sp_rules == mu_rules and sp.head_multiplier == mu.head_multiplier == 1
    for (name, a), (_, b) in zip(sp.named_parameters(), mu.named_parameters(), strict=True):
        assert torch.equal(a, b), name


def test_moe_roles_scale_with_width_as_the_table_says() -> None:
    base, m = moe_shape(), 4
    shape = moe_shape(width=32 * m, expert_width=32 * m, depth=3)
    model, rules = _build("mup", shape, base)
    for name, param in model.named_parameters():
        tag, got = tag_of(param, name), rules[name]
        if tag.role in (Role.EMBEDDING, Role.NORM, Role.HEAD):
            assert (got.lr, got.weight_decay) == (1, 0), name
        elif tag.role is Role.ROUTER:
            assert (got.lr, got.weight_decay) == (1 / m, 0)
            assert got.init_std == pytest.approx(32**-0.5 / m)
        else:
            assert (got.lr, got.weight_decay) == (1 / m, m), name
            assert width_ratio(param) == m


def test_sp_gives_every_role_the_same_lr() -> None:
    _, rules = _build("sp", moe_shape(width=128, expert_width=64), moe_shape())
    assert {rule.lr for rule in rules.values()} == {1.0}
    assert {rule.weight_decay for rule in rules.values()} == {0.0, 1.0}


@pytest.mark.parametrize("name", ["sp", "mup"])
def test_init_has_the_std_of_the_table(name: str) -> None:
    model, rules = _build(name, moe_shape(width=128, expert_width=64), moe_shape())
    truncation = 0.9866  # std of a normal cut at 3 std
    for key, param in model.named_parameters():
        std = rules[key].init_std
        if std is not None:
            assert param.std().item() == pytest.approx(std * truncation, rel=0.1), key


def test_a_parameter_without_role_is_an_error() -> None:
    with pytest.raises(ValueError, match="has no role"):
        tag_of(torch.nn.Parameter(torch.zeros(2)), "stray")


def test_torchvision_is_never_imported() -> None:
    """mup brings a torchvision built for CUDA, which does not load beside a CPU torch."""
    assert "torchvision" not in sys.modules
