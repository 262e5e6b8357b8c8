"""Models of the transformers library beside ours, on the same parameters."""

import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from lrladder.benchmark.export.given import trained_of
from lrladder.benchmark.hf.names import theirs_of
from lrladder.models.parametrization import initialise, rule_table
from lrladder.models.rules import STANDARD
from lrladder.models.shape import ModelShape
from lrladder.models.transformer import Transformer


def transformers() -> Any:
    """The library; without it the test module is skipped."""
    sys.modules.setdefault("torchvision", None)  # type: ignore[arg-type]  # mup's: a CUDA build that breaks on import
    return pytest.importorskip("transformers", reason="the extra `hf` is not installed")


def peer_of(config: Any) -> Any:
    """Their model with the experts as a loop, in fp32."""
    config._experts_implementation = config._attn_implementation = "eager"
    return transformers().AutoModelForCausalLM.from_config(config).float()


def ours_of(shape: ModelShape, *, seed: int = 0) -> Transformer:
    """Our model, initialised; its norms and biases are randomised, as at 1 or 0 a wrong one may go unseen."""
    model = Transformer(shape, backend="reference")
    initialise(model, rule_table(STANDARD, model, shape, embedding_std=1.0), seed=seed)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for name, param in model.named_parameters():
            if name.endswith(("gain", "bias")):
                param.add_(0.3 * torch.randn(param.shape, generator=generator))
        for buffer in model.buffers():  # of the choice of experts
            buffer.copy_(0.3 * torch.randn(buffer.shape, generator=generator))
    return model


def gradients(model: Transformer, peer: Any) -> dict[str, tuple[Tensor, Tensor]]:
    """Ours and theirs, by our names."""
    found = trained_of(peer)
    both = {}
    for name, param in model.named_parameters():
        assert param.grad is not None
        both[name] = (param.grad, torch.cat([found[other].grad for other in theirs_of(name)]))
    return both
