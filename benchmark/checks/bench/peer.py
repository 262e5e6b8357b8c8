"""The peer: Mixtral from the transformers library, in the shape of one of our rungs, with torch's AdamW."""

import sys
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.trial import Trial
from lrladder.models.shape import ModelShape

# Implementations of its experts; the fastest one counts. batched_mm is for decoding: it copies weights for each token.
IMPLEMENTATIONS = ("eager", "grouped_mm")
Step = Callable[[torch.Tensor], None]  # one training step on tokens [B, S + 1]


def require_transformers() -> None:
    """Raises InputError if the peer is not installed."""
    sys.modules.setdefault("torchvision", None)  # type: ignore[arg-type]  # mup's: a CUDA build that breaks on import
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        remedy = "pip install -c constraints.txt -e '.[bench]'"
        raise InputError(f"bench: the transformers library is the peer and is not installed: {remedy}") from error


def mixtral_step(trial: Trial, implementation: str, device: torch.device) -> Step:
    """One training step: cross-entropy, Mixtral's own load-balancing loss, clipping, and fused AdamW.

    bf16 is as in transformers' Trainer: fp32 weights under autocast.
    """
    from transformers import MixtralForCausalLM

    config = mixtral_config(trial.shape)
    config._experts_implementation = implementation
    torch.manual_seed(trial.seed)
    model: Any = MixtralForCausalLM(config)
    model.to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def step(tokens_bs: torch.Tensor) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=trial.precision == "bf16"):
            output = model(input_ids=tokens_bs[:, :-1], output_router_logits=True, use_cache=False)
        logits = output.logits.float().flatten(0, 1)
        loss = F.cross_entropy(logits, tokens_bs[:, 1:].flatten())
        (loss + trial.optimizer.aux_loss_coef * output.aux_loss).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), trial.optimizer.grad_clip)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()  # our loop reads the loss at every step too

    return step


def mixtral_config(shape: ModelShape) -> Any:
    """A config with our width, depth, heads, experts and vocabulary, and an untied head. Our model also has QK-norm."""
    from transformers import MixtralConfig

    return MixtralConfig(
        vocab_size=shape.vocab_size,
        hidden_size=shape.width,
        intermediate_size=shape.expert_width,
        num_hidden_layers=shape.depth,
        num_attention_heads=shape.num_heads,
        num_key_value_heads=shape.num_kv_heads,
        head_dim=shape.head_size,
        num_local_experts=shape.num_experts,
        num_experts_per_tok=shape.top_k,
        max_position_embeddings=shape.seq_len,
        tie_word_embeddings=False,
        sliding_window=None,
    )
