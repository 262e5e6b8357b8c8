"""Computes health metrics from one forward pass on a fixed probe batch, and how far training has changed features.

docs/stability.md has the formulas. Norms are over tokens and channels. A metric of several blocks is their mean.
"""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from lrladder.models.calls import Call
from lrladder.models.experts.exchange import Share, share_of
from lrladder.models.experts.reference import swiglu
from lrladder.models.hooks import attention_logits, calls_of, inside
from lrladder.models.moe import Dense, MoE, log_scores
from lrladder.models.parameters import linear, tag_of
from lrladder.models.roles import Role
from lrladder.models.transformer import Block, Transformer, blocks_of

Metrics = dict[str, float]


class Observation(NamedTuple):
    """One forward pass on the probe batch."""

    features: list[Tensor]  # residual streams [B, S, d] that enter block 0, block 1, ... and, last, the final norm
    metrics: Metrics
    calls: dict[str, Call]


@torch.no_grad()
def observe(model: Transformer, tokens_bs: Tensor) -> Observation:
    """Activation RMS by depth, largest attention logit, mean log Z, and the router's entropies and z loss."""
    calls = calls_of(model, (tokens_bs,))
    blocks = blocks_of(model)
    features = [calls[f"blocks.{i}.attention_norm"].args[0] for i in range(len(blocks))] + [calls["norm"].args[0]]
    metrics = {f"activation_rms/{depth}": rms(feature) for depth, feature in enumerate(features)}
    largest = [attention_logits(inside(f"blocks.{i}.attention", calls)).abs().amax() for i in range(len(blocks))]
    metrics["attention_logit_max"] = torch.stack(largest).max().item()
    metrics["log_z"] = calls[""].output.logits.float().logsumexp(-1).mean().item()
    return Observation(features, metrics | _router(model, calls), calls)


def _router(model: Transformer, calls: Mapping[str, Call]) -> Metrics:
    """Mean over blocks of the router metrics.

    Entropies are divided by log(experts), so that 1 is even: the mean entropy of a token's softmax, and the entropy of
    the softmax averaged over the batch. Sigmoid scores count as shares of their sum.
    """
    places = enumerate(blocks_of(model))
    found = [value for i, block in places if (value := _block_router(block, calls[f"blocks.{i}.moe"]))]
    return {name: math.fsum(value[name] for value in found) / len(found) for name in found[0]} if found else {}


def _block_router(block: Block, moe: Call) -> Metrics:
    if isinstance(block.moe, Dense) or (router := block.moe.router) is None:
        return {}
    logits = linear(moe.args[0].float(), router).flatten(0, -2)
    log_p = log_scores(logits, block.moe.architecture).log_softmax(-1)
    mean_p = log_p.exp().mean(0)
    most = math.log(len(router))
    return {
        "router_entropy_token": -(log_p.exp() * log_p).sum(-1).mean().item() / most,
        "router_entropy_batch": -torch.xlogy(mean_p, mean_p).sum().item() / most,
        "router_z": moe.output[1].router_z.item(),
    }


@torch.no_grad()
def feature_metrics(model: Transformer, start: Mapping[str, Tensor], before: list[Tensor], now: Observation) -> Metrics:
    """How far training has moved the model from weights `start` and features `before`, both of initialisation.

    * `feature_change/l`: RMS(h_l - h_l at start) / RMS(h_l at start).
    * `output_change/role`: norm(dW x) / norm(W x) on the present inputs x, with dW = W - W at start.
    * `alignment_ratio/role`: `output_change` divided by norm(dW) / norm(W). It says how much better dW is aligned with
      x than W is (arXiv 2510.19093). For attention, W is the q, k, v matrix; latent attention has a role for each of
      its matrices, and `attention` is there the matrix of its output, and that of queries if they have no latent.
    """
    found = {
        f"feature_change/{depth}": rms(new.float() - old.float()) / rms(old)
        for depth, (new, old) in enumerate(zip(now.features, before, strict=True))
    }
    by_role: dict[str, list[tuple[float, float]]] = {}
    for name, changed, output in _outputs(model, start, now):
        weight = model.get_parameter(name)
        share = share_of(weight)
        relative = rms(weight - start[name], share) / rms(weight, share)
        if relative and (size := rms(output, share)):
            change = rms(changed, share) / size
            by_role.setdefault(tag_of(weight, name).role, []).append((change, change / relative))
    for role, pairs in by_role.items():
        found[f"output_change/{role}"] = math.fsum(change for change, _ in pairs) / len(pairs)
        found[f"alignment_ratio/{role}"] = math.fsum(ratio for _, ratio in pairs) / len(pairs)
    return found


def _outputs(model: Transformer, start: Mapping[str, Tensor], now: Observation) -> Iterator[tuple[str, Tensor, Tensor]]:
    """(name, dW x, W x) for each matrix whose input the calls hold. Of experts it is those that this rank holds."""
    calls = now.calls

    def of(name: str, x: Tensor) -> tuple[str, Tensor, Tensor]:
        weight = model.get_parameter(name)
        return name, linear(x, weight - start[name]), linear(x, weight)

    yield of(model.readout_name, calls["norm"].output)
    for i, block in enumerate(blocks_of(model)):
        for matrix, x in block.attention.inputs(inside(f"blocks.{i}.attention", calls)):
            yield of(f"blocks.{i}.attention.{matrix}", x)
        x_td = calls[f"blocks.{i}.moe"].args[0].flatten(0, -2)
        if isinstance(block.moe, Dense):
            yield of(f"blocks.{i}.moe.dense_up", x_td)
            yield of(f"blocks.{i}.moe.dense_down", swiglu(linear(x_td, block.moe.dense_up)))
            continue
        if block.moe.router is not None:
            yield of(f"blocks.{i}.moe.router", x_td)
        yield from _expert_outputs(block.moe, f"blocks.{i}.moe", start, x_td)


def _expert_outputs(
    moe: MoE, place: str, start: Mapping[str, Tensor], x_td: Tensor
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """(name, dW x, W x) for the experts' two matrices, on the tokens that the router now sends to each expert."""
    found: dict[str, list[tuple[Tensor, Tensor]]] = {Role.EXPERT_UP: [], Role.EXPERT_DOWN: []}
    up_change, down_change = moe.up - start[f"{place}.up"], moe.down - start[f"{place}.down"]
    for expert, x in enumerate(_rows_of_experts(moe, x_td)):
        up = linear(x, moe.up[expert])
        hidden = swiglu(up)
        found[Role.EXPERT_UP].append((linear(x, up_change[expert]), up))
        found[Role.EXPERT_DOWN].append((linear(hidden, down_change[expert]), linear(hidden, moe.down[expert])))
    for name, pairs in ((f"{place}.up", found[Role.EXPERT_UP]), (f"{place}.down", found[Role.EXPERT_DOWN])):
        changed, output = zip(*pairs, strict=True)
        yield name, torch.cat(changed), torch.cat(output)


def _rows_of_experts(moe: MoE, x_td: Tensor) -> list[Tensor]:
    if moe.router is None:
        return [x_td]
    chosen = moe.routing(x_td).expert_tk
    share = share_of(moe.up)
    first = 0 if share is None else share.part * len(moe.up)
    return [x_td[(chosen == first + own).any(-1)] for own in range(len(moe.up))]


def rms(value: Tensor, share: Share | None = None) -> float:
    """Root mean square over all entries; with a share, over those of all ranks of its group, which must all call it."""
    if share is None:
        return value.float().square().mean().sqrt().item()
    square, count = share.sum([value.float().square().sum().item(), value.numel()], value.device)
    return math.sqrt(square / count)


def rms_by_role(model: Transformer, values: Mapping[str, Tensor]) -> Metrics:
    """RMS of each role, over all entries of its tensors; `values` maps parameter names to tensors.

    If experts are spread over ranks, all of these must call this.
    """
    sums: dict[str, list[float]] = {}
    squares = torch._foreach_norm(list(values.values()))
    for (name, value), norm in zip(values.items(), squares, strict=True):
        param = model.get_parameter(name)
        share, found = share_of(param), [norm.item() ** 2, float(value.numel())]
        square, count = found if share is None else share.sum(found, value.device)
        total = sums.setdefault(tag_of(param, name).role, [0.0, 0.0])
        total[0] += square
        total[1] += count
    return {role: math.sqrt(square / count) for role, (square, count) in sums.items()}
