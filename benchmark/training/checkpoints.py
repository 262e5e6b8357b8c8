"""The trunk's state: in memory for the decay branches that start from it, in a file to be continued one day."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from paradigms.base import Verdict

Reading = tuple[Verdict, dict[str, Any]]  # of one horizon: the verdict and fields of its Measurement
MAX_BYTES = 256 * 2**20  # of one stored trunk; assumption: larger ones are not worth their disk


class TrunkState:
    """A copy of every tensor that training changes: parameters, fp32 masters where there are any, and AdamW moments.

    The engine's inner optimizer holds the tensors that are really updated: the parameters themselves at stage 0 in
    fp32, flat fp32 partitions under bf16 or ZeRO 1. The data position is the step number, kept by the caller.
    """

    def __init__(self, engine: Any) -> None:
        self._live = _tensors(engine)
        self._saved = [tensor.detach().clone() for tensor in self._live]
        self._rng = torch.get_rng_state()

    @torch.no_grad()
    def restore(self) -> None:
        for tensor, saved in zip(self._live, self._saved, strict=True):
            tensor.copy_(saved)
        torch.set_rng_state(self._rng)


class StoredTrunk(NamedTuple):
    """Where a stored trunk stands, and what has been read from it. `ended`: why it diverged, None if it can go on."""

    step: int
    losses: list[float]
    readings: dict[int, Reading]
    watch: dict[str, Any] | None = None  # state of benchmark.training.watch; None in files from before it was kept
    ended: str | None = None

    def serves(self, horizons: tuple[int, ...], branch_points: tuple[int, ...], batch_tokens: int) -> bool:
        """Whether every horizon has been read already, or begins its decay where the trunk stands or later."""
        here = self.step * batch_tokens
        pairs = zip(horizons, branch_points, strict=True)
        return all(horizon in self.readings or branch >= here for horizon, branch in pairs)


def save_trunk(path: Path, engine: Any, trunk: StoredTrunk) -> bool:
    """Keep a trunk in one step, so that a kill leaves the old file or the new one. False where it is too large."""
    params = _parameters(engine)
    moments = [dict(engine.basic_optimizer.state.get(param, {})) for param in params]
    tensors = [*params, *(value for state in moments for value in state.values() if isinstance(value, Tensor))]
    if sum(tensor.nbytes for tensor in tensors) > MAX_BYTES:
        return False
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".tmp")
    state = {"params": [param.detach() for param in params], "moments": moments, "rng": torch.get_rng_state()}
    torch.save({"trunk": json.dumps(trunk._asdict()), **(state if trunk.ended is None else {})}, temporary)
    temporary.replace(path)
    return True


def load_trunk(path: Path) -> tuple[StoredTrunk, dict[str, Any]]:
    """What is stored of a trunk, and the state for `restore_trunk`. Only tensors and plain values are read."""
    state = torch.load(path, weights_only=True, map_location="cpu")
    found = json.loads(state.pop("trunk"))
    found["readings"] = {int(horizon): (verdict, rest) for horizon, (verdict, rest) in found["readings"].items()}
    return StoredTrunk(**found), state


@torch.no_grad()
def restore_trunk(engine: Any, state: dict[str, Any]) -> None:
    """Put a stored state into a fresh engine of the same trial."""
    for param, saved, moments in zip(_parameters(engine), state["params"], state["moments"], strict=True):
        param.copy_(saved)
        if moments:
            device = {name: value.to(param.device) for name, value in moments.items()}
            engine.basic_optimizer.state[param] = device
    torch.set_rng_state(state["rng"])


def _parameters(engine: Any) -> list[Tensor]:
    """The model's parameters and, where the optimizer updates others, those, in a fixed order."""
    found = [
        *engine.module.parameters(),
        *(p for group in engine.basic_optimizer.param_groups for p in group["params"]),
    ]
    return list({id(tensor): tensor for tensor in found}.values())


def _tensors(engine: Any) -> list[Tensor]:
    state = engine.basic_optimizer.state
    found = _parameters(engine)
    found += [value for values in state.values() for value in values.values() if isinstance(value, Tensor)]
    return list({id(tensor): tensor for tensor in found}.values())
