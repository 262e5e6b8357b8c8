"""Whether MegaBlocks can run on a machine. This file does not import torch, which takes seconds."""

import importlib.util

PARTS = ("megablocks", "megablocks_ops", "stk", "triton")  # modules; the second is compiled with nvcc


def no_megablocks(*, has_gpu: bool) -> str | None:
    """Why MegaBlocks cannot run here, in one sentence with the remedy; None if it can. `has_gpu`: CUDA works here."""
    if not has_gpu:
        return "expert_backend megablocks needs a CUDA GPU and this machine has none; use expert_backend: grouped"
    absent = [name for name in PARTS if importlib.util.find_spec(name) is None]
    if absent:
        return f"expert_backend megablocks: {', '.join(absent)} not installed; run `make megablocks` or use grouped"
    return None
