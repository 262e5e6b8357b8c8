"""The coordinate check: how large activations are, and what training adds to them, as a model grows along one axis.

A coordinate is a root mean square (RMS) over tokens, channels and blocks. After every AdamW step on one fixed batch,
each role has these coordinates:

* `size`: the activation itself.
* `update`: what the module has learnt. It is the output minus the output that the weights of step 0 give on the same
  input; for one matrix, (W_t - W_0) x_t. For the residual stream it is the sum over all modules that write to it. An
  LR rule governs this quantity (arXiv 2203.03466 appendix J, 2510.19093). The change of the output since step 0 would
  also contain W_0 (x_t - x_0), the response of the random initial weights, which shrinks with size at any LR. The
  experts' two matrices are measured apart: `expert_up` is the output of gate and up before the activation function,
  and the update of `expert_down` is what down has learnt on the hidden units that the first weights of up give.
* `decay`: lr * weight_decay, the fraction of a weight that one step's decay removes.

A rule holds along an axis if the slope of log coordinate against log size is 0. At step 0 the slope of a readout must
be that of its init instead.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from lrladder.models.calls import Call
from lrladder.models.experts.reference import swiglu
from lrladder.models.hooks import attention_logits, calls_of, inside
from lrladder.models.moe import Dense, MoE, route
from lrladder.models.parameters import tag_of
from lrladder.models.parametrization import Built, param_groups
from lrladder.models.roles import Role
from lrladder.models.shape import ModelShape
from lrladder.models.slope import Slope
from lrladder.models.transformer import Block, Transformer, blocks_of, next_token_loss

Axis = Literal["width", "depth", "experts", "expert_width"]
Quantity = Literal["size", "update", "decay"]
BAND = 0.1  # a slope within +-BAND holds, which over 8 times the size is a factor of 1.23; our choice

INIT_SLOPE = -0.5  # slope of a mean of independent terms
# Relative to the base, readouts start at std 1 / width (models/rules.py): the router by its init, the head by its
# multiplier. Their inputs keep their size, so their first logits must fall as width^-1/2. Logits that stay level show
# an init of fan_in^-1/2.
READOUTS: dict[tuple[Axis, str], str] = {
    ("width", place): "before training, sums of random signs fall like width^-1/2; what is learned does not shrink"
    for place in ("logits", "router_logits")
}
# These sizes may fall at step 0, with a slope down to INIT_SLOPE. They need not: routing weighs experts unequally, and
# under `fi` the experts' output does not fall.
TRANSIENTS: dict[tuple[Axis, str], str] = {
    **READOUTS,
    (
        "experts",
        "experts",
    ): "before training, means of independent experts fall like (top k)^-1/2; what they learn adds up",
    (
        "expert_width",
        "experts",
    ): "the mean-field init averages independent hidden units, which falls like (expert width)^-1/2",
}


class Settings(NamedTuple):
    """Settings of AdamW, clipping and the auxiliary losses, as in training."""

    lr: float
    betas: tuple[float, float]
    eps: float
    weight_decay: float
    grad_clip: float
    aux_loss_coef: float
    z_loss_coef: float
    role_lrs: tuple[tuple[str, float], ...] = ()  # multipliers of the LR of whole roles


class Coordinate(NamedTuple):
    """One coordinate of one role after one step."""

    step: int
    role: str
    quantity: Quantity
    rms: float
    mean_abs: float  # mup's measure


def grow(shape: ModelShape, axis: Axis, factor: int) -> ModelShape:
    """The shape made `factor` times larger along one axis. Head size and the share of active experts stay."""
    names: dict[Axis, tuple[str, ...]] = {
        "width": (*("width", "expert_width", "shared_width", "dense_width", "heads", "kv_heads"), "q_rank", "kv_rank"),
        "depth": ("depth", "dense_blocks"),
        "experts": ("num_experts", "top_k"),
        "expert_width": ("expert_width", "shared_width", "dense_width"),
    }
    sizes = {name: getattr(shape, name) for name in names[axis]}
    return shape.model_copy(update={name: factor * size for name, size in sizes.items() if size is not None})


def trace(built: Built, tokens: Tensor, settings: Settings, *, steps: int) -> list[Coordinate]:
    """Train on one batch [B, S + 1] at a constant LR; return all coordinates before the first and after each step."""
    model = built.model
    groups = param_groups(
        model,
        built.rules,
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        eps=settings.eps,
        role_lrs=dict(settings.role_lrs),
    )
    optimizer = torch.optim.AdamW(groups, betas=settings.betas)
    recorder = Recorder(model, tokens[:, :-1])
    found = recorder.record(0)
    for step in range(1, steps + 1):
        _train_step(model, optimizer, tokens, settings)
        found += recorder.record(step)
        found += _decay(step, model, optimizer)
    return found


def _train_step(model: Transformer, optimizer: torch.optim.Optimizer, tokens: Tensor, settings: Settings) -> None:
    output = model(tokens[:, :-1])
    loss = next_token_loss(output, tokens[:, 1:])
    optimizer.zero_grad()
    (loss + settings.aux_loss_coef * output.load_balance + settings.z_loss_coef * output.router_z).backward()
    nn.utils.clip_grad_norm_(model.parameters(), settings.grad_clip)
    optimizer.step()


def _decay(step: int, model: Transformer, optimizer: torch.optim.Optimizer) -> list[Coordinate]:
    names = {id(param): name for name, param in model.named_parameters()}
    shares: dict[str, list[float]] = {}
    for group in optimizer.param_groups:
        for param in group["params"] if group["weight_decay"] else ():
            role = tag_of(param, names[id(param)]).role
            shares.setdefault(role, []).append(group["lr"] * group["weight_decay"])
    return [_coordinate(step, role, "decay", [torch.tensor(values)]) for role, values in shares.items()]


class Recorder:
    """Measures the coordinates of a model on tokens [B, S]. Updates are relative to the weights when it was made."""

    def __init__(self, model: Transformer, tokens_bs: Tensor) -> None:
        self._model, self._tokens = model, tokens_bs
        self._start = {name: param.detach().clone() for name, param in model.named_parameters()}

    @torch.no_grad()
    def record(self, step: int) -> list[Coordinate]:
        """The sizes now, and after step 0 also the updates."""
        sizes, updates = self._activations()
        found = [_coordinate(step, role, "size", values) for role, values in sizes.items()]
        if step:
            found += [_coordinate(step, role, "update", values) for role, values in updates.items()]
        return found

    def _activations(self) -> tuple[dict[str, list[Tensor]], dict[str, list[Tensor]]]:
        """(sizes, updates) by role, each a list with one tensor for the model or one for each block."""
        model, start = self._model, self._start
        calls = calls_of(model, (self._tokens,))
        embedding = F.embedding(self._tokens, model.embedding)
        sizes = {"embedding": [embedding]}
        updates = {"embedding": [embedding - F.embedding(self._tokens, start["embedding"])]}
        for i, block in enumerate(blocks_of(model)):
            attention, moe = inside(f"blocks.{i}.attention", calls), calls[f"blocks.{i}.moe"]
            now = _roles(block, attention, moe, block.moe.router)
            before = _roles(block, *_at_weights(block, inside(f"blocks.{i}", start), attention[""].args, moe.args))
            now_and_up, learnt = _parts(block.moe, inside(f"blocks.{i}.moe", start), moe.args[0])
            if (bias := block.attention.qkv_bias) is not None:
                learnt["bias"] = bias - start[f"blocks.{i}.attention.qkv_bias"]
            of_latents, learnt_by_latents = _latent_parts(block, inside(f"blocks.{i}.attention", start), attention)
            now_and_up, learnt = now_and_up | of_latents, learnt | learnt_by_latents
            for role, value in (now | now_and_up).items():
                sizes.setdefault(role, []).append(value)
            for role, value in ({role: value - before[role] for role, value in now.items()} | learnt).items():
                updates.setdefault(role, []).append(value)
        branches = torch.stack(updates["attention"] + updates["experts"] + updates.get("dense", [])).sum(0)
        sizes["residual"] = [calls["norm"].args[0]]
        updates["residual"] = [updates["embedding"][0] + model.branch_multiplier * branches]
        normed = calls["norm"].output * model.head_multiplier
        sizes["logits"] = [calls[""].output.logits]
        updates["logits"] = [F.linear(normed, model.readout - start[model.readout_name])]
        return sizes, updates


def _roles(block: Block, attention: Mapping[str, Call], moe: Call, router: Tensor | None) -> dict[str, Tensor]:
    """Outputs of a block's modules by role, from the calls of its attention and its MoE."""
    outputs = {"attention": attention[""].output, "attention_logits": attention_logits(attention)}
    if router is not None:
        outputs["router_logits"] = F.linear(moe.args[0].float(), router.float())
    return outputs | {"dense" if isinstance(block.moe, Dense) else "experts": moe.output[0]}


def _at_weights(
    block: Block, weights: Mapping[str, Tensor], attention_args: tuple[Any, ...], moe_args: tuple[Any, ...]
) -> tuple[dict[str, Call], Call, Tensor | None]:
    """Arguments for `_roles`: the same inputs with other weights.

    The experts keep the present router, because what the router has learnt is not an update of the experts.
    """
    moe = inside("moe", weights)
    router = moe.pop("router", None)
    experts = Call(moe_args, functional_call(block.moe, moe, moe_args))
    return calls_of(block.attention, attention_args, inside("attention", weights)), experts, router


def _latent_parts(
    block: Block, start: Mapping[str, Tensor], calls: Mapping[str, Call]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(sizes, updates) of the matrices of attention that have a role of their own: those around its latents."""
    sizes, updates = {}, {}
    for name, x in block.attention.inputs(calls):
        weight = block.attention.get_parameter(name)
        if (role := tag_of(weight, name).role) is not Role.ATTENTION:
            sizes[role.value] = F.linear(x, weight)
            updates[role.value] = F.linear(x, weight - start[name])
    return sizes, updates


def _parts(moe: Dense | MoE, start: Mapping[str, Tensor], x_bsd: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(sizes, updates) of the matrices of a feed-forward part, apart."""
    if isinstance(moe, MoE):
        return _expert_parts(moe, start, x_bsd)
    return _swiglu_parts("dense", moe.dense_up, moe.dense_down, start, x_bsd)


def _expert_parts(moe: MoE, start: Mapping[str, Tensor], x_bsd: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(sizes, updates) of the experts' matrices, apart, so that neither update shows a fault of the other.

    Up has one row [2h] for each token and each expert that it now chooses. The update of down is what down has learnt,
    on the hidden units that the first weights of up give.
    """
    x_td = x_bsd.flatten(0, 1)
    routing = route(x_td.new_zeros(len(x_td), 1), 1) if moe.router is None else moe.routing(x_td)
    rows_e = [(routing.expert_tk == expert).any(-1) for expert in range(moe.num_experts)]

    def put_out(up: Tensor) -> Tensor:
        return torch.cat([F.linear(x_td[rows], up[expert]) for expert, rows in enumerate(rows_e)])

    sizes, updates = {"expert_up": put_out(moe.up)}, {"expert_up": put_out(moe.up - start["up"])}
    learnt = moe.down - start["down"]
    updates["expert_down"] = moe.backend(x_td, routing.expert_tk, routing.weight_tk, start["up"], learnt)
    if moe.shared_up is not None and moe.shared_down is not None:
        of_shared, learnt_by_shared = _swiglu_parts("shared", moe.shared_up, moe.shared_down, start, x_td)
        return sizes | of_shared, updates | learnt_by_shared
    return sizes, updates


def _swiglu_parts(
    name: str, up: Tensor, down: Tensor, start: Mapping[str, Tensor], x: Tensor
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(sizes, updates) of the two matrices of one SwiGLU, `name`_up and `name`_down."""
    first = start[f"{name}_up"]
    learnt = F.linear(swiglu(F.linear(x, first)), down - start[f"{name}_down"])
    return {f"{name}_up": F.linear(x, up)}, {f"{name}_up": F.linear(x, up - first), f"{name}_down": learnt}


def _coordinate(step: int, role: str, quantity: Quantity, values: Sequence[Tensor]) -> Coordinate:
    rms = math.sqrt(math.fsum(value.float().square().mean().item() for value in values) / len(values))
    mean_abs = math.fsum(value.float().abs().mean().item() for value in values) / len(values)
    return Coordinate(step, role, quantity, rms, mean_abs)


def passes(axis: Axis, role: str, quantity: Quantity, step: int, fit: Slope) -> bool:
    """Whether the slope is in its band, or its interval reaches into the band and is no wider than +-BAND."""
    low, high = band(axis, role, quantity, step)
    return low <= fit.slope <= high or (fit.high - fit.slope <= BAND and fit.low <= high and fit.high >= low)


def band(axis: Axis, role: str, quantity: Quantity, step: int) -> tuple[float, float]:
    """Lowest and highest slope that holds: about 0, unless the coordinate is a transient of the init at step 0.

    Then a readout must be at about -1/2, and other roles lie between -1/2 and 0.
    """
    if not has_transient(axis, role, quantity, step):
        return -BAND, BAND
    return INIT_SLOPE - BAND, INIT_SLOPE + BAND if (axis, role) in READOUTS else BAND


def has_transient(axis: Axis, role: str, quantity: Quantity, step: int) -> bool:
    """Whether the coordinate may fall with size at step 0, because of the random initial weights."""
    return step == 0 and quantity == "size" and (axis, role) in TRANSIENTS


def is_judged(axis: Axis, role: str, quantity: Quantity, step: int) -> bool:
    """Whether the slope of a coordinate is judged.

    Sizes that have a transient at step 0 are not judged later: they still contain the init. Their update is judged.
    """
    return step == 0 or quantity != "size" or (axis, role) not in TRANSIENTS
