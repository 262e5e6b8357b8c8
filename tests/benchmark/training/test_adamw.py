"""torch's own AdamW as the oracle of ours: every weight and every state, to the last bit."""

import copy
from typing import Any

import torch

from lrladder.benchmark.training.adamw import AdamW


def _trained(make: Any, *, reload_at: int | None = None) -> tuple[list[torch.Tensor], dict[str, Any]]:
    """Weights and state after steps with changing LRs. The second parameter has no gradient in the first steps."""
    generator = torch.Generator().manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(*size, generator=generator)) for size in ((5, 3), (7,), (2, 4, 3))]
    groups = [{"params": params[:2], "weight_decay": 0.1, "eps": 1e-8}, {"params": params[2:], "weight_decay": 0.0}]
    optimizer = make(groups)
    for step in range(6):
        for place, param in enumerate(params):
            grad = torch.randn(param.shape, generator=generator)
            param.grad = None if place == 1 and step < 2 else grad
        for place, group in enumerate(optimizer.param_groups):
            group["lr"] = 0.01 * (place + 1) / (step + 1)
        optimizer.step()
        if step == reload_at:
            optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    return params, optimizer.state_dict()


def _ours(groups: Any) -> torch.optim.Optimizer:
    return AdamW(groups, betas=(0.8, 0.9), fused=True)


def test_it_is_torchs_to_the_last_bit() -> None:
    expected, state = _trained(lambda groups: torch.optim.AdamW(groups, betas=(0.8, 0.9), fused=True))
    found, own_state = _trained(_ours)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)
    assert own_state["param_groups"] == state["param_groups"] and own_state["state"].keys() == state["state"].keys()
    for place, entry in state["state"].items():
        own = own_state["state"][place]
        assert own.keys() == entry.keys()
        assert all(torch.equal(own[name], value) and own[name].dtype == value.dtype for name, value in entry.items())


def test_it_continues_from_a_stored_state() -> None:
    for one, other in zip(_trained(_ours, reload_at=3)[0], _trained(_ours)[0], strict=True):
        assert torch.equal(one, other)
