"""torch's fused AdamW, with less Python in each step and without importing torch's compiler."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class AdamW(torch.optim.AdamW):
    """As `torch.optim.AdamW(fused=True)`, with the same kernel and the same state.

    torch's own methods import the compiler, which takes 2 s and which short runs do not need. Its step also takes
    0.2 ms longer, which is a hundredth of a small model's step.
    """

    add_param_group = torch.optim.Optimizer.add_param_group.__wrapped__  # type: ignore[attr-defined]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step on all parameters that have a gradient."""
        assert closure is None, "closures are not supported"
        for group in self.param_groups:
            params = [param for param in group["params"] if param.grad is not None]
            if params:
                _update(group, params, [self.state[param] or self._start(param) for param in params])

    def _start(self, param: Tensor) -> dict[str, Tensor]:
        """The state of a parameter before its first step."""
        state: dict[str, Tensor] = self.state[param]
        state["step"] = torch.zeros((), device=param.device)
        state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(param), torch.zeros_like(param)
        return state


def _update(group: dict[str, Any], params: list[Tensor], states: list[dict[str, Tensor]]) -> None:
    steps = [state["step"] for state in states]
    torch._foreach_add_(steps, 1)
    torch._fused_adamw_(
        params,
        [param.grad for param in params if param.grad is not None],
        [state["exp_avg"] for state in states],
        [state["exp_avg_sq"] for state in states],
        [],  # of amsgrad
        steps,
        lr=group["lr"],
        beta1=group["betas"][0],
        beta2=group["betas"][1],
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        amsgrad=False,
        maximize=False,
    )
