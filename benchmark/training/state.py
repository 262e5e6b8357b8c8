"""Copies, gathers and restores the tensors that training changes: those of one rank, or the whole of all ranks."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lrladder.benchmark.training.expert_parallel import has_spread_experts
from lrladder.benchmark.training.partition import Piece, flat_tensors, pieces
from lrladder.benchmark.training.ranks import Ranks
from lrladder.models.experts.exchange import share_of

MOMENTS = ("exp_avg", "exp_avg_sq")  # AdamW's; it also counts steps
BYTES = 12  # of the whole state per parameter: weight and two moments in fp32


class EngineState(NamedTuple):
    """Every tensor that training changes: parameters, the tensors that are updated instead of them, AdamW moments, and
    buffers (the experts' biases), which every rank holds whole.

    The state of one rank depends on the ZeRO stage and on the ranks: the tensors that are updated are the parameters
    themselves at stage 0, and flat parts of them otherwise. A whole state has the model's parameters alone, and fits
    any stage and any number of ranks. The position in the data follows from the step, which is in Position.
    """

    params: list[Tensor]
    moments: list[dict[str, Any]]
    rng: Tensor
    buffers: Sequence[Tensor] = ()  # files of models without any do not say


def copied_state(engine: Any) -> EngineState:
    """Copies of the tensors of this rank, on the same device."""
    live = _live(engine)
    moments = [{name: value.clone() for name, value in of_one.items()} for of_one in live.moments]
    buffers = [buffer.clone() for buffer in live.buffers]
    return EngineState([tensor.clone() for tensor in live.params], moments, live.rng, buffers)


@torch.no_grad()
def put_back(engine: Any, state: EngineState) -> None:
    """Copy the state of this rank into the engine that it came from, or into one that is the same."""
    for tensor, saved, moments in zip(_tensors(engine), state.params, state.moments, strict=True):
        tensor.copy_(saved)
        _put_moments(engine.basic_optimizer.state, tensor, moments)
    _put_buffers(engine, state)
    engine.skipped_steps = 0
    torch.set_rng_state(state.rng)


def size_of(engine: Any) -> int:
    """Size of the whole state in bytes."""
    return BYTES * sum(_numel(param) for param in engine.module.parameters())


def holds_whole(engine: Any) -> bool:
    """Whether the state of this rank is the whole state."""
    return engine.zero_optimization_stage() == 0 and not has_spread_experts(engine.module)


@torch.no_grad()
def whole_state(engine: Any, ranks: Ranks) -> EngineState:
    """The whole state on the first rank, and an empty one on the others. All ranks must call this.

    Without ZeRO the tensors are those of the engine, not copies.
    """
    if holds_whole(engine):
        return _live(engine)
    held = pieces(engine, ranks)
    buffers = [buffer.detach().cpu() for buffer in engine.module.buffers()]
    whole: EngineState = EngineState([], [], torch.get_rng_state(), buffers if ranks.is_first else [])
    for index, param in enumerate(engine.module.parameters()):
        weight, moments = _of_all_ranks(engine, param, [piece for piece in held if piece.param == index], ranks)
        if (share := share_of(param)) is not None:
            weight = share.join(weight)
            moments = {name: value if name == "step" else share.join(value) for name, value in moments.items()}
        if ranks.is_first:
            whole.params.append(weight.to("cpu", copy=True))
            whole.moments.append({name: value.to("cpu", copy=True) for name, value in moments.items()})
    return whole


@torch.no_grad()
def whole_weights(engine: Any, ranks: Ranks) -> dict[str, Tensor]:
    """Parameters and buffers of the model as it is now, by name, on the first rank. All ranks must call this.

    Below ZeRO stage 3 these are the values of the forward pass, which may be averages in the place of the trained ones.
    """
    module = engine.module
    if engine.zero_optimization_stage() < 3:
        shares = ((param.detach(), share_of(param)) for param in module.parameters())
        params = [param if share is None else share.join(param) for param, share in shares]
    else:
        params = whole_state(engine, ranks).params
    if not ranks.is_first:
        return {}
    names = [name for name, _ in module.named_parameters()]
    return {**dict(zip(names, params, strict=True)), **dict(module.named_buffers())}


def _of_all_ranks(engine: Any, param: Tensor, own: Sequence[Piece], ranks: Ranks) -> tuple[Tensor, dict[str, Tensor]]:
    """The weight and the moments of a parameter, from the pieces `own` of this rank and those of the others."""
    state = engine.basic_optimizer.state
    kept = dict(state.get(param, {}))  # what the state holds of whole parameters, such as the average of the weights
    if engine.zero_optimization_stage() == 0:
        return param.detach(), kept
    weight = _gathered(param, [(piece, piece.flat) for piece in own], ranks)
    steps = [found["step"] for found in state.values() if "step" in found]
    if not steps:
        return weight, kept
    moments = {name: _gathered(param, [(piece, state[piece.flat][name]) for piece in own], ranks) for name in MOMENTS}
    return weight, {**moments, "step": steps[0], **kept}


@torch.no_grad()
def restore(engine: Any, whole: EngineState, ranks: Ranks) -> None:
    """Copy a whole state into an engine of the same trial, at any stage and on any number of ranks."""
    whole = _own_experts(engine, whole)
    if engine.zero_optimization_stage() == 0:
        put_back(engine, whole)
        return
    moments_of: dict[int, dict[str, Any]] = {}
    for piece in pieces(engine, ranks):
        piece.held.copy_(piece.inside(whole.params[piece.param]))
        for name, value in whole.moments[piece.param].items():
            kept = moments_of.setdefault(id(piece.flat), {})
            if name == "step":
                kept[name] = value
            elif name in MOMENTS:
                kept.setdefault(name, torch.zeros_like(piece.flat))
                piece.of(kept[name]).copy_(piece.inside(value))
    for flat in flat_tensors(engine):
        _put_moments(engine.basic_optimizer.state, flat, moments_of.get(id(flat), {}))
    for param, moments in zip(engine.module.parameters(), whole.moments, strict=True):
        others = {name: value for name, value in moments.items() if name not in (*MOMENTS, "step")}
        _put_moments(engine.basic_optimizer.state, param, others)
    _spread(engine, whole)
    _put_buffers(engine, whole)
    engine.skipped_steps = 0
    torch.set_rng_state(whole.rng)


def _own_experts(engine: Any, whole: EngineState) -> EngineState:
    """A whole state without the experts that are on other ranks."""
    params, moments = [], []
    for param, weight, kept in zip(engine.module.parameters(), whole.params, whole.moments, strict=True):
        share = share_of(param)
        params.append(weight if share is None else share.of(weight))
        moments.append(
            kept if share is None else {name: v if name == "step" else share.of(v) for name, v in kept.items()}
        )
    return whole._replace(params=params, moments=moments)


def _live(engine: Any) -> EngineState:
    """The tensors of this rank themselves, which change during training."""
    tensors = _tensors(engine)
    moments = [dict(engine.basic_optimizer.state.get(tensor, {})) for tensor in tensors]
    buffers = list(engine.module.buffers())
    return EngineState([tensor.detach() for tensor in tensors], moments, torch.get_rng_state(), buffers)


def _tensors(engine: Any) -> list[Tensor]:
    """What this rank holds of the model, and the tensors that the optimizer updates instead, in a fixed order."""
    params = list(engine.module.parameters())
    if engine.zero_optimization_stage() < 3:
        return [*params, *flat_tensors(engine)]
    engine.optimizer.empty_partition_cache()  # gathered values would be older than those that are put back
    return [*(param.ds_tensor for param in params), *flat_tensors(engine)]


def _put_buffers(engine: Any, state: EngineState) -> None:
    for buffer, saved in zip(engine.module.buffers(), state.buffers, strict=True):
        buffer.copy_(saved)


def _put_moments(held: Any, tensor: Tensor, moments: dict[str, Any]) -> None:
    if not moments:
        held.pop(tensor, None)
    elif tensor in held:
        for name, value in moments.items():
            held[tensor][name].copy_(value)
    else:
        held[tensor] = {name: value.to(tensor.device, copy=True) for name, value in moments.items()}


def _gathered(param: Tensor, own: list[Any], ranks: Ranks) -> Tensor:
    """A tensor of the shape of a parameter, from the pieces of all ranks. Every value is in exactly one piece."""
    shape = getattr(param, "ds_shape", param.shape)
    whole = torch.zeros(shape, dtype=torch.float32, device=param.device)
    for piece, flat in own:
        piece.inside(whole).copy_(piece.of(flat))
    share = share_of(param)
    return ranks.sum(whole, None if share is None else share.copies)


def _spread(engine: Any, whole: EngineState) -> None:
    """Write the weights also where the forward pass reads them."""
    if engine.zero_optimization_stage() < 3:
        for param, saved in zip(engine.module.parameters(), whole.params, strict=True):
            param.copy_(saved)
        return
    engine.optimizer.empty_partition_cache()
    for params, flat in zip(engine.optimizer.fp16_groups, engine.optimizer.fp32_partitioned_groups_flat, strict=True):
        parts = flat.split([param.ds_tensor.ds_numel for param in params])
        for param, part in zip(params, parts, strict=True):
            param.ds_tensor.copy_(part)


def _numel(param: Tensor) -> int:
    share = share_of(param)
    return int(getattr(param, "ds_numel", param.numel())) * (1 if share is None else share.num_parts)
