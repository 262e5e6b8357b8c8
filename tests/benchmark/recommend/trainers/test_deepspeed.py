"""The printed DeepSpeed config and the groups of the printed torch code, in a real engine."""

import copy
import json
from typing import Any

import pytest
import torch

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.recommend.formats import text
from lrladder.benchmark.training import optimizer
from lrladder.models.parametrization import build
from lrladder.models.rules import STANDARD
from lrladder.models.transformer import Transformer, next_token_loss
from tests.benchmark.recommend.trainers.asked import STEPS, advice_of, ours, peak, points, run, shape_of

KINDS = {
    "embedding": "^embedding$",
    "attention_qkv": "attention.qkv",
    "attention_out": "attention.out",
    "router": "router",
    "expert_up": "moe.up",
    "expert_down": "moe.down",
    "norm_block": "^blocks.*norm",
    "norm_final": "^norm",
    "head": "^head$",
}
SHAPE = shape_of()
ADVICE = advice_of(SHAPE)


@pytest.mark.parametrize("stage", [0, 1])
def test_an_engine_trains_with_the_recipe(stage: int) -> None:
    """Each parameter ends where torch's AdamW takes it with the recipe's LR, decay, eps, betas, clip and schedule."""
    model, _ = build(STANDARD, SHAPE, SHAPE, backend="reference", embedding_std=1.0, seed=0)
    expected = in_torch(copy.deepcopy(model))
    code, config = run(ADVICE, "torch"), json.loads(text(ADVICE.fold(), "deepspeed"))
    config |= {"zero_optimization": {"stage": stage}, "zero_allow_untested_optimizer": True}
    config["optimizer"]["params"]["torch_adam"] = True  # the fused default is compiled for a GPU
    engine, adam, _, _ = optimizer.start_deepspeed().initialize(
        model=model,
        model_parameters=code.param_groups(code.by_name(model, KINDS)),
        lr_scheduler=lambda adam: torch.optim.lr_scheduler.LambdaLR(adam, code.factor),
        config=config,
    )
    assert engine.train_batch_size() * SHAPE.seq_len == ADVICE.batch_tokens
    for step, tokens in enumerate(texts()):
        for group in adam.param_groups if step in points() else ():
            wanted = peak(ADVICE, group["name"])
            assert group["lr"] == pytest.approx(ours(ADVICE, step) * wanted["lr"], rel=1e-12)
            assert (group["weight_decay"], group["eps"]) == (wanted["weight_decay"], wanted["eps"])
        engine.backward(loss_of(engine.module, tokens))
        engine.step()
    for name, param in engine.module.named_parameters():
        assert torch.allclose(param, expected[name], rtol=1e-4, atol=1e-6), name


def texts() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(0, 96, (2, SHAPE.seq_len + 1), generator=generator) for _ in range(STEPS)]


def loss_of(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    return next_token_loss(model(tokens[:, :-1]), tokens[:, 1:])


def in_torch(model: Transformer) -> dict[str, torch.Tensor]:
    """The parameters after training by a loop that owes nothing to the printed text."""
    kinds = {kind: run(ADVICE, "torch").by_name(model, KINDS)[kind] for kind in KINDS}
    groups = [
        {"params": params, **peak(ADVICE, kind), "peak": peak(ADVICE, kind)["lr"]} for kind, params in kinds.items()
    ]
    recipe = ADVICE.recipe
    assert recipe is not None
    adam = torch.optim.AdamW(groups, betas=(recipe.beta1, recipe.beta2))
    for step, tokens in enumerate(texts()):
        for group in adam.param_groups:
            group["lr"] = group["peak"] * ours(ADVICE, step)
        adam.zero_grad()
        loss_of(model, tokens).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.grad_clip)
        adam.step()
    return dict(model.named_parameters())


def test_a_batch_of_no_whole_sequences_is_refused() -> None:
    odd = ADVICE.fold().model_copy(update={"batch_tokens": 100})
    for form in ("deepspeed", "transformers", "megatron", "torchtitan"):
        with pytest.raises(InputError, match=r"100 is not a whole number of sequences of 32 tokens, .* 96, or your"):
            text(odd, form)  # type: ignore[arg-type]
