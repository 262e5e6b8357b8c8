"""mup as the oracle for dense roles; all parametrizations are one function at the base."""

import math
import sys
from collections.abc import Callable
from typing import Any

import mup
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lrladder.models.architecture import Architecture
from lrladder.models.parameters import tag_of
from lrladder.models.parametrization import Built, build, param_groups
from lrladder.models.roles import Role
from lrladder.models.rules import MUTRANSFER, STANDARD, Rules
from lrladder.models.shape import ModelShape
from lrladder.models.transformer import Transformer
from tests.models.shapes import dense_shape, latent_shape, moe_shape, tied_shape

LR, DECAY, EPS = 0.01, 0.1, 1e-8
WIDTH_ONLY = Rules(width=True, router=True, experts="fi", weight_decay="independent")
ALONE = [
    Rules.model_validate({switch: value})
    for switch, values in {
        "width": [True],
        "router": [True],
        "experts": ["mf", "fi"],
        "depth": ["depth_mup", "completep"],
        "weight_decay": ["sqrt", "independent"],
        "eps": [True],
        "embedding": [True],
        "norm": [True],
    }.items()
    for value in values
]
RULES = st.builds(
    Rules,
    width=st.booleans(),
    router=st.booleans(),
    experts=st.sampled_from(["none", "mf", "fi"]),
    depth=st.sampled_from(["none", "depth_mup", "completep"]),
    weight_decay=st.sampled_from(["standard", "sqrt", "independent"]),
    eps=st.booleans(),
)


def _build(rules: Rules, shape: ModelShape, base: ModelShape) -> Built:
    return build(rules, shape, base, backend="grouped", embedding_std=0.1, seed=0)


def _groups(built: Built) -> list[dict[str, Any]]:
    return param_groups(built.model, built.rules, lr=LR, weight_decay=DECAY, eps=EPS)


def _effective(groups: list[dict[str, Any]], model: Transformer) -> dict[str, tuple[float, float]]:
    names = {id(param): name for name, param in model.named_parameters()}
    return {names[id(p)]: (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}


def _latent_dense(**changes: int) -> ModelShape:
    """A dense model with latent attention."""
    sizes = {"heads": 4, "kv_rank": 16, "q_rank": 24, "rope_size": 4, "value_size": 6}
    architecture = Architecture(qk_norm="none", rope_pairs="neighbours")
    return ModelShape(**dense_shape().model_dump() | sizes | changes, architecture=architecture)


@pytest.mark.parametrize("optimizer", [mup.MuAdamW, mup.MuAdam], ids=["MuAdamW", "MuAdam"])
@pytest.mark.parametrize(
    ("make", "changes"),
    [
        (dense_shape, {"width": 64, "expert_width": 64}),
        (dense_shape, {"width": 96, "expert_width": 160}),
        (dense_shape, {"width": 128, "expert_width": 48}),
        (_latent_dense, {"width": 64, "expert_width": 64, "heads": 8, "kv_rank": 32, "q_rank": 48}),
        (_latent_dense, {"width": 96, "expert_width": 96, "heads": 12, "kv_rank": 80, "q_rank": 56}),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_dense_groups_equal_mups_optimizers(
    make: Callable[..., ModelShape], changes: dict[str, int], optimizer: Callable[..., Any]
) -> None:
    """mup decides LR and decay of each dense parameter; embedding, norms and head are handed to it without decay."""
    built = _build(WIDTH_ONLY, make(**changes), make())
    ours = _effective(_groups(built), built.model)
    vector_roles = (Role.EMBEDDING, Role.NORM, Role.HEAD)
    is_vector = {name: tag_of(param, name).role in vector_roles for name, param in built.model.named_parameters()}
    matrices = [param for name, param in built.model.named_parameters() if not is_vector[name]]
    vectors = [param for name, param in built.model.named_parameters() if is_vector[name]]
    oracle = optimizer([{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0}], lr=LR)
    expected = _effective(oracle.param_groups, built.model)
    assert ours.keys() == expected.keys()
    for name, values in expected.items():
        assert ours[name] == pytest.approx(values, rel=1e-15), name  # lr / m against lr * (1 / m): one rounding


def test_head_equals_mups_readout() -> None:
    base, shape = dense_shape(), dense_shape(width=128, expert_width=128)
    model = _build(WIDTH_ONLY, shape, base).model
    readouts = [mup.MuReadout(s.width, s.vocab_size, bias=False) for s in (base, dense_shape(width=64), shape)]
    mup.set_base_shapes(readouts[2], readouts[0], delta=readouts[1], rescale_params=False)
    with torch.no_grad():
        readouts[2].weight.copy_(model.head)
    x = torch.randn(5, shape.width, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close((x * model.head_multiplier) @ model.head.T, readouts[2](x))


def test_a_tied_head_equals_mups_shared_readout() -> None:
    """Logits, and the LR that mup's optimizer gives a matrix that an embedding and its MuSharedReadout share."""
    base, shape = tied_shape(), tied_shape(width=128, expert_width=128)
    built = _build(WIDTH_ONLY, shape, base)

    def shared(width: int) -> torch.nn.ModuleList:
        embedding = torch.nn.Embedding(shape.vocab_size, width)
        return torch.nn.ModuleList([embedding, mup.MuSharedReadout(embedding.weight, bias=False)])

    theirs = shared(128)
    mup.set_base_shapes(theirs, shared(32), delta=shared(64), rescale_params=False)
    with torch.no_grad():
        theirs[0].weight.copy_(built.model.embedding)
    x = torch.randn(5, shape.width, generator=torch.Generator().manual_seed(0))
    ours = (x * built.model.head_multiplier) @ built.model.readout.T
    torch.testing.assert_close(ours, theirs[1](x))
    (group,) = mup.MuAdamW(theirs.parameters(), lr=LR, weight_decay=0.0).param_groups
    assert _effective(_groups(built), built.model)["embedding"] == (group["lr"], group["weight_decay"])


@pytest.mark.parametrize("rules", [STANDARD, MUTRANSFER], ids=["sp", "mup"])
@pytest.mark.parametrize(("width", "depth"), [(32, 2), (128, 2), (128, 8)])
def test_a_tied_model_starts_near_the_loss_of_a_uniform_guess(rules: Rules, width: int, depth: int) -> None:
    """Within 0.2 nats. At the init std of our own embeddings, which is 1, it would start many nats above."""
    shape = tied_shape(width=width, depth=depth, expert_width=width, vocab_size=512)
    model = _build(rules, shape, tied_shape(vocab_size=512)).model
    tokens = torch.randint(512, (4, 17), generator=torch.Generator().manual_seed(0))
    loss = F.cross_entropy(model(tokens[:, :-1]).logits.flatten(0, 1), tokens[:, 1:].flatten())
    assert loss.item() == pytest.approx(math.log(512), abs=0.2)


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(RULES)
def test_at_the_base_every_parametrization_is_one_function(rules: Rules) -> None:
    _assert_standard(rules)


@pytest.mark.parametrize("rules", [*ALONE, MUTRANSFER], ids=lambda rules: str(rules.model_dump(exclude_defaults=True)))
def test_at_the_base_each_switch_is_one_function(rules: Rules) -> None:
    _assert_standard(rules)


def _assert_standard(rules: Rules) -> None:
    """Bitwise: init, groups, logits, and weights after each of three AdamW steps."""
    for shape in (moe_shape(shared_width=16), tied_shape(shared_width=16), latent_shape()):
        _assert_standard_at(rules, shape)


def _assert_standard_at(rules: Rules, shape: ModelShape) -> None:
    ours, standard = _build(rules, shape, shape), _build(STANDARD, shape, shape)
    assert ours.rules == standard.rules
    assert _effective(_groups(ours), ours.model) == _effective(_groups(standard), standard.model)
    assert _trained(ours) == _trained(standard)


def _trained(built: Built) -> list[list[float]]:
    """Logits, then the weights at the start and after each step."""
    optimizer = torch.optim.AdamW(_groups(built))
    tokens = torch.randint(built.model.shape.vocab_size, (2, 9), generator=torch.Generator().manual_seed(1))
    seen = [built.model(tokens).logits.flatten().tolist(), *_weights(built)]
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(built.model(tokens[:, :-1]).logits.flatten(0, 1), tokens[:, 1:].flatten()).backward()
        optimizer.step()
        seen += _weights(built)
    return seen


def _weights(built: Built) -> list[list[float]]:
    return [param.flatten().tolist() for param in built.model.parameters()]


def test_other_expert_counts_are_no_width() -> None:
    """More experts change no rule: mup would take any size that differs for a width."""
    few, many = moe_shape(num_experts=4, top_k=1), moe_shape(num_experts=16, top_k=4)
    assert _build(MUTRANSFER, many, few).rules == _build(MUTRANSFER, few, few).rules


def test_branches_and_head_are_multiplied_as_the_table_says() -> None:
    shape = moe_shape(width=64, expert_width=64, depth=6)
    base = moe_shape(depth=2)
    assert _build(STANDARD, shape, base).model.branch_multiplier == 1
    for depth, expected in (("completep", 1 / 3), ("depth_mup", 3**-0.5)):
        model = _build(MUTRANSFER.model_copy(update={"depth": depth}), shape, base).model
        assert model.branch_multiplier == pytest.approx(expected)
        assert model.head_multiplier == 0.5


def test_sp_gives_every_role_the_same_lr() -> None:
    rules = _build(STANDARD, moe_shape(width=128, expert_width=64), moe_shape()).rules
    assert {rule.lr for rule in rules.values()} == {1.0}
    assert {rule.weight_decay for rule in rules.values()} == {0.0, 1.0}


@pytest.mark.parametrize("rules", [STANDARD, MUTRANSFER], ids=["sp", "mup"])
def test_init_has_the_std_of_the_table(rules: Rules) -> None:
    built = _build(rules, moe_shape(width=128, expert_width=64), moe_shape())
    truncation = 0.9866  # std of a normal cut at 3 std
    for key, param in built.model.named_parameters():
        std = built.rules[key].init_std
        if std is not None:
            assert param.std().item() == pytest.approx(std * truncation, rel=0.1), key


def test_role_lrs_multiply_whole_roles() -> None:
    built = _build(STANDARD, moe_shape(), moe_shape())
    groups = param_groups(built.model, built.rules, lr=LR, weight_decay=DECAY, eps=EPS, role_lrs={"router": 4.0})
    for name, (lr, _) in _effective(groups, built.model).items():
        assert lr == pytest.approx(4 * LR if name.endswith("router") else LR), name


def test_a_parameter_without_role_is_an_error() -> None:
    with pytest.raises(ValueError, match="has no role"):
        tag_of(torch.nn.Parameter(torch.zeros(2)), "stray")


def test_torchvision_is_never_imported() -> None:
    """mup brings a torchvision built for CUDA, which does not load beside a CPU torch."""
    assert sys.modules.get("torchvision") is None  # None where transformers, which would import it, is a peer
