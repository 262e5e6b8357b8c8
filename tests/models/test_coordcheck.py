"""The recorder against mup's own coordinate check, slopes against known laws, and each planted bug."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from mup.coord_check import _get_coord_data
from scipy import stats

from lrladder.benchmark.checks.coordcheck import probe_batch
from lrladder.models.coordcheck import BAND, Recorder, Settings, grow, is_judged, passes, trace
from lrladder.models.parametrization import Built, build, param_groups
from lrladder.models.rules import MUTRANSFER, Rules
from lrladder.models.shape import ModelShape
from lrladder.models.slope import Slope, fit_slope
from lrladder.models.transformer import Transformer
from tests.models.shapes import dense_shape, latent_shape, moe_shape, public_shape, tied_shape

SETTINGS = Settings(
    lr=0.01, betas=(0.9, 0.95), eps=1e-12, weight_decay=0.1, grad_clip=1e9, aux_loss_coef=0.0, z_loss_coef=0.0
)


def _build(shape: ModelShape, base: ModelShape | None = None, seed: int = 0) -> Built:
    return build(MUTRANSFER, shape, base or shape, backend="grouped", embedding_std=1.0, seed=seed)


def _tokens(shape: ModelShape) -> torch.Tensor:
    return torch.randint(0, shape.vocab_size, (2, shape.seq_len + 1), generator=torch.Generator().manual_seed(1))


class _Flat(torch.nn.Module):
    """Logits as mup's coordinate check takes them: one row a token."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.model(tokens).logits.flatten(0, 1)


def test_mean_abs_is_what_mups_coordinate_check_records() -> None:
    """Attention, experts and logits of one block, at every step, trained on our groups by mup's own loop."""
    base, steps = moe_shape(depth=1), 3
    shapes = {m: grow(base, "width", m) for m in (1, 2)}
    tokens = _tokens(base)

    def adamw(wrapped: _Flat) -> torch.optim.AdamW:
        table = _build(wrapped.model.shape, base).rules
        groups = param_groups(
            wrapped.model, table, lr=SETTINGS.lr, weight_decay=SETTINGS.weight_decay, eps=SETTINGS.eps
        )
        return torch.optim.AdamW(groups, betas=SETTINGS.betas)

    theirs = _get_coord_data(
        {m: lambda shape=shape: _Flat(_build(shape, base).model) for m, shape in shapes.items()},
        [(tokens[:, :-1], tokens[:, 1:].flatten())],
        adamw,
        nsteps=steps + 1,
        cuda=False,
        show_progress=False,
    )
    names = {"attention": "model.blocks.0.attention", "experts": "model.blocks.0.moe:out[0]", "logits": ""}
    for m, shape in shapes.items():
        ours = {
            (c.role, c.step): c.mean_abs
            for c in trace(_build(shape, base), tokens, SETTINGS, steps=steps)
            if c.quantity == "size"
        }
        for role, module in names.items():
            some = theirs[(theirs["width"] == m) & (theirs["module"] == module)].set_index("t")["l1"]
            for step in range(steps + 1):
                assert ours[role, step] == pytest.approx(some[step + 1], rel=1e-4), (m, role, step)


def test_attention_logits_are_those_that_make_the_output() -> None:
    """Their softmax over values gives back the attention module's own mixing, for one head of one block."""
    shape = dense_shape(width=8, depth=1)
    model, tokens = _build(shape).model, _tokens(shape)[:, :-1]
    recorder = Recorder(model, tokens)
    sizes, _ = recorder._activations()
    (pairs,) = sizes["attention_logits"]
    logits = torch.full((2, 1, shape.seq_len, shape.seq_len), -math.inf)
    logits[..., torch.ones(shape.seq_len, shape.seq_len, dtype=torch.bool).tril()] = pairs
    attention = model.blocks[0].attention
    x = model.blocks[0].attention_norm(F.embedding(tokens, model.embedding))
    value = F.linear(x, attention.qkv[2 * shape.width :])
    expected = F.linear(logits[:, 0].softmax(-1) @ value, attention.out)
    torch.testing.assert_close(sizes["attention"][0], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_an_update_is_what_the_changed_weights_add_and_nothing_else() -> None:
    shape = moe_shape(shared_width=8)
    model, tokens = _build(shape).model, _tokens(shape)[:, :-1]
    recorder = Recorder(model, tokens)
    assert {c.rms for c in recorder.record(1) if c.quantity == "update"} == {0.0}
    model.embedding.mul_(2.0)  # moves the input of every module, but teaches none of them
    got = {c.role: c.rms for c in recorder.record(1) if c.quantity == "update"}
    moved = F.embedding(tokens, model.embedding).square().mean().sqrt().item() / 2
    assert got.pop("embedding") == got.pop("residual") == pytest.approx(moved)
    assert set(got.values()) == {0.0}
    change = torch.full_like(model.blocks[1].moe.router, 0.1)
    model.blocks[1].moe.router.add_(change)
    got = {c.role: c.rms for c in recorder.record(1) if c.quantity == "update"}
    assert got["router_logits"] > 0
    assert got["experts"] == got["attention"] == got["logits"] == 0  # the router's learning is not the experts'


@torch.no_grad()
def test_up_and_down_learn_apart_and_together_as_the_experts_do() -> None:
    """Down alone is the experts' whole update; up alone shows in up only, whatever it does to the output."""
    shape = moe_shape(shared_width=8)
    for place in ("down", "shared_down", "up", "shared_up"):
        model, tokens = _build(shape).model, _tokens(shape)[:, :-1]
        recorder = Recorder(model, tokens)
        for block in model.blocks:
            getattr(block.moe, place).mul_(1.5)
        got = {c.role: c.rms for c in recorder.record(1) if c.quantity == "update"}
        own = place if place.startswith("shared") else f"expert_{place}"
        others = {"expert_up", "expert_down", "shared_up", "shared_down"} - {own}
        assert got[own] > 0 == max(got[other] for other in others)
        assert got["experts"] == pytest.approx(got[own], rel=1e-4) if "down" in place else got["experts"] > 0


@torch.no_grad()
def test_dense_blocks_and_biases_learn_apart() -> None:
    """Each shows in its own coordinate; down of a dense block alone is that block's whole update."""
    shape = public_shape()
    for place in ("moe.dense_up", "moe.dense_down", "attention.qkv_bias"):
        model, tokens = _build(shape).model, _tokens(shape)[:, :-1]
        recorder = Recorder(model, tokens)
        model.blocks[0].get_parameter(place).add_(0.1)
        got = {c.role: c.rms for c in recorder.record(1) if c.quantity == "update"}
        own = {"attention.qkv_bias": "bias"}.get(place, place.removeprefix("moe."))
        others = {"dense_up", "dense_down", "bias", "expert_up", "expert_down", "shared_up"} - {own}
        assert got[own] > 0 == max(got[other] for other in others)
        if place == "moe.dense_down":
            assert got["dense"] == pytest.approx(got["dense_down"], rel=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("place", ["q_a", "q_b", "kv_a", "kv_b"])
def test_matrices_around_latents_learn_apart(place: str) -> None:
    """Each shows in its own coordinate, and in the output of attention."""
    shape = latent_shape()
    model, tokens = _build(shape).model, _tokens(shape)[:, :-1]
    recorder = Recorder(model, tokens)
    model.blocks[0].attention.get_parameter(place).add_(0.1)
    got = {c.role: c.rms for c in recorder.record(1) if c.quantity == "update"}
    others = {"q_a", "q_b", "kv_a", "kv_b", "experts", "logits"} - {place}
    assert got[place] > 0 == max(got[other] for other in others)
    assert got["attention"] > 0


def test_latents_keep_their_size_and_learn_alike_at_every_width() -> None:
    """Under muP, along width, with ranks and heads in proportion; on the few kinds of tokens of the check."""
    base, factors = latent_shape(width=64, expert_width=64, heads=8, kv_rank=32, q_rank=48), (1, 2, 4)
    tokens, settings = probe_batch(base.vocab_size), SETTINGS._replace(lr=0.0025)
    found: dict[tuple[str, str], list[float]] = {}
    for factor in factors:
        for c in trace(_build(grow(base, "width", factor), base), tokens, settings, steps=1):
            if c.role in ("q_a", "q_b", "kv_a", "kv_b") and (c.step, c.quantity) in ((0, "size"), (1, "update")):
                found.setdefault((c.role, c.quantity), []).append(c.rms)
    assert len(found) == 8
    for (role, quantity), values in found.items():
        assert fit_slope(factors, values).slope == pytest.approx(0.0, abs=BAND), (role, quantity)


@torch.no_grad()
def test_a_tied_matrix_learns_for_both_of_its_uses() -> None:
    shape = tied_shape()
    model, tokens = _build(shape).model, _tokens(shape)[:, :-1]
    recorder = Recorder(model, tokens)
    model.embedding.mul_(2.0)
    got = {c.role: c.rms for c in recorder.record(1) if c.quantity == "update"}
    halved = model.embedding / 2  # of what it is now; as much as was there before
    assert got.pop("embedding") == got.pop("residual") == pytest.approx(_rms(F.embedding(tokens, halved)))
    assert got.pop("logits") == pytest.approx(_rms(model(tokens).features @ halved.T), rel=1e-4)
    assert set(got.values()) == {0.0}


def _rms(value: torch.Tensor) -> float:
    return value.square().mean().sqrt().item()


def test_a_tied_matrix_learns_alike_at_every_width() -> None:
    """Under muP: what the embedding learns, and what the logits do."""
    base, factors = tied_shape(depth=1), (1, 2, 4)
    updates: dict[str, list[float]] = {"embedding": [], "logits": []}
    for factor in factors:
        found = trace(_build(grow(base, "width", factor), base), _tokens(base), SETTINGS, steps=1)
        for role, values in updates.items():
            values += [c.rms for c in found if (c.role, c.quantity) == (role, "update")]
    for role, values in updates.items():
        assert fit_slope(factors, values).slope == pytest.approx(0.0, abs=BAND), role


def test_recording_changes_nothing() -> None:
    shape = moe_shape()
    models = [_build(shape).model for _ in range(2)]
    Recorder(models[0], _tokens(shape)[:, :-1]).record(1)
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(a, b) and a.requires_grad
    assert not [module for module in models[0].modules() if module._forward_hooks]


def test_decay_is_the_share_that_adamw_takes_without_a_gradient() -> None:
    shape = moe_shape(depth=1)
    built = _build(shape)
    found = {c.role: c.rms for c in trace(_build(shape), _tokens(shape), SETTINGS, steps=1) if c.quantity == "decay"}
    groups = param_groups(built.model, built.rules, lr=SETTINGS.lr, weight_decay=SETTINGS.weight_decay, eps=1e-12)
    before = built.model.blocks[0].attention.out.detach().clone()
    for param in built.model.parameters():
        param.grad = torch.zeros_like(param)
    torch.optim.AdamW(groups).step()
    taken = (before - built.model.blocks[0].attention.out.detach()).norm() / before.norm()
    assert found["attention"] == pytest.approx(taken.item(), rel=1e-4)
    assert set(found) == {"attention", "expert_up", "expert_down"}


def test_dense_models_have_no_router_logits() -> None:
    roles = {c.role for c in trace(_build(dense_shape()), _tokens(dense_shape()), SETTINGS, steps=1)}
    assert "router_logits" not in roles and "experts" in roles


@given(factor=st.integers(1, 8))
def test_growing_one_axis_leaves_the_others(factor: int) -> None:
    base = moe_shape(shared_width=16)
    sizes = {axis: grow(base, axis, factor) for axis in ("width", "depth", "experts", "expert_width")}
    assert sizes["width"].n_active > sizes["expert_width"].n_active or factor == 1
    assert sizes["depth"].model_copy(update={"depth": base.depth}) == base
    assert sizes["experts"].top_k / sizes["experts"].num_experts == base.top_k / base.num_experts
    assert {shape.head_size for shape in sizes.values()} == {base.head_size}


@given(
    exponent=st.floats(-2, 2),
    scale=st.floats(1e-3, 1e3),
    noise=st.lists(st.floats(-0.1, 0.1), min_size=8, max_size=8),
)
def test_slope_is_scipys_regression(exponent: float, scale: float, noise: list[float]) -> None:
    sizes = [1, 2, 4, 8] * 2
    values = [scale * size**exponent * 2**miss for size, miss in zip(sizes, noise, strict=True)]
    got = fit_slope(sizes, values)
    x, y = [math.log2(size) for size in sizes], [math.log2(value) for value in values]
    oracle = stats.linregress(x, y)
    assert got.slope == pytest.approx(oracle.slope, abs=1e-9)
    if max(y) - min(y) > 1e-6:
        reach = stats.t.ppf(0.95, 6) * oracle.stderr
        assert (got.low, got.high) == pytest.approx((oracle.slope - reach, oracle.slope + reach), abs=1e-6)


def test_slope_of_a_constant_is_certain_and_of_zeros_absent() -> None:
    assert fit_slope([1, 2, 4], [0.3, 0.3, 0.3]) == (0, 0, 0)
    for broken in (0.0, math.nan, math.inf):
        fit = fit_slope([1, 2, 4], [1.0, broken, 1.0])
        assert math.isnan(fit.slope)
        assert not passes("width", "attention", "update", 1, fit)


def _slope(value: float, reach: float = 0.01) -> Slope:
    return Slope(value, value - reach, value + reach)


def test_only_a_named_transient_may_fall_and_only_at_step_0() -> None:
    assert passes("width", "logits", "size", 0, _slope(-0.5))
    assert not passes("width", "logits", "size", 0, _slope(-0.65))
    assert not passes("width", "logits", "size", 0, _slope(0.15))
    assert not passes("width", "router_logits", "size", 0, _slope(0.0))  # its rule says -1/2
    assert passes("expert_width", "experts", "size", 0, _slope(0.0))  # so it is under `fi`
    assert not passes("width", "logits", "update", 1, _slope(-0.5))
    assert not passes("depth", "logits", "size", 0, _slope(-0.5))
    assert not passes("width", "residual", "size", 0, _slope(-0.5))
    assert is_judged("width", "logits", "update", 3) and not is_judged("width", "logits", "size", 3)


@given(slope=st.floats(-2, 2), reach=st.floats(0, 1))
def test_a_slope_past_the_band_passes_only_if_a_narrow_interval_reaches_back(slope: float, reach: float) -> None:
    got = passes("width", "attention", "update", 1, _slope(slope, reach))
    assert got == passes("width", "attention", "update", 1, _slope(-slope, reach))
    if abs(slope) <= BAND:
        assert got
    elif abs(slope) > 2 * BAND + 1e-9:
        assert not got  # however uncertain
    elif abs(abs(slope) - reach - BAND) > 1e-9 and abs(reach - BAND) > 1e-9:
        assert got == (reach < BAND and abs(slope) - reach < BAND)


@pytest.mark.parametrize(("rules", "slope"), [(Rules(), 0.0), (Rules(embedding=True), 1.0), (Rules(norm=True), 0.0)])
def test_with_its_rule_the_embedding_learns_in_proportion_to_width(rules: Rules, slope: float) -> None:
    """At one LR for all widths; so at the LR that the matrices need, which falls as 1 / width, it learns as ever."""
    base = moe_shape(depth=1)
    factors = (1, 2, 4)
    updates = []
    for factor in factors:
        built = build(rules, grow(base, "width", factor), base, backend="grouped", embedding_std=1.0, seed=0)
        found = trace(built, _tokens(base), SETTINGS, steps=1)
        updates += [c.rms for c in found if (c.role, c.quantity) == ("embedding", "update")]
    assert fit_slope(factors, updates).slope == pytest.approx(slope, abs=0.01)


def test_a_recipe_is_in_the_groups_of_the_check() -> None:
    """AdamW's first step is the LR, so the embedding's update is the ratio times what it is without."""
    shape = moe_shape(depth=1)
    with_ratio = SETTINGS._replace(role_lrs=(("embedding", 8.0),))
    first, other = (
        next(c.rms for c in trace(_build(shape), _tokens(shape), s, steps=1) if c[1:3] == ("embedding", "update"))
        for s in (SETTINGS, with_ratio)
    )
    assert other == pytest.approx(8 * first, rel=1e-4)
