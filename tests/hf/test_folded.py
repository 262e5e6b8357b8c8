"""A recipe with its multipliers folded in trains a model of the transformers library as the study trains ours."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from lrladder.benchmark.config.parts import OptimizerConfig
from lrladder.benchmark.export.given import give
from lrladder.benchmark.export.held import held
from lrladder.benchmark.hf.names import theirs_of
from lrladder.benchmark.lab.recipe import Recipe
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.ladder import Base
from lrladder.benchmark.training import optimizer
from lrladder.benchmark.training.recipe import kind_of, trial_recipe
from lrladder.models.architecture import Architecture
from lrladder.models.parameters import tag_of
from lrladder.models.parametrization import build
from lrladder.models.shape import ModelShape
from lrladder.models.transformer import Transformer, next_token_loss
from tests.benchmark.trials import BATCH, tiny_trial
from tests.hf.peers import peer_of, transformers
from tests.models.shapes import LIKE_DEEPSEEK

TRANSFORMERS = transformers()
STEPS, SEQ = 30, 16


def shape_of(width: int, depth: int, kind: str = "untied") -> ModelShape:
    sizes = {"vocab_size": 97, "width": width, "depth": depth, "head_size": 16, "heads": width // 8, "seq_len": SEQ}
    sizes |= {"num_experts": 6, "top_k": 2, "expert_width": width}
    if kind != "latent":
        return ModelShape(**sizes, kv_heads=2, architecture=Architecture(rope_theta=1e6, tied=kind == "tied"))
    sizes |= {"kv_rank": width // 2, "q_rank": 3 * width // 4, "rope_size": 4, "value_size": 8, "shared_width": width}
    return ModelShape(**sizes, architecture=LIKE_DEEPSEEK)


def trial_of(kind: str = "untied", **changes: object) -> Trial:
    """A model three times as wide and twice as deep as its base, so that head and branches have multipliers."""
    base = Base(shape=shape_of(16, 2, kind), batch_tokens=BATCH, tokens=20 * BATCH)
    settings = OptimizerConfig(eps=1e-6, embedding_std=1.0, weight_decay=0.3)
    fields = {"optimizer": settings, "horizons": (20 * BATCH,), "lr": 0.005} | changes
    return tiny_trial(shape=shape_of(48, 4, kind), base=base, **fields)


def peer_like(shape: ModelShape) -> Any:
    """Their model of this shape: qwen3_moe, or deepseek_v3 for a latent one."""
    kind, keys = held(shape, "test")
    return peer_of(TRANSFORMERS.CONFIG_MAPPING[kind].from_dict(keys))


def batches() -> list[torch.Tensor]:
    """Tokens of a chain that can be learnt."""
    generator = torch.Generator().manual_seed(5)
    steps = [torch.randint(1, 4, (4, SEQ + 1), generator=generator) for _ in range(STEPS)]
    return [step.cumsum(1) % 97 for step in steps]


def ours(trial: Trial, clip: float) -> tuple[Transformer, list[float]]:
    """The losses of training as the study does it, and the model as it was before."""
    model, rules = build(
        trial.rules, trial.shape, trial.base.shape, backend="reference", embedding_std=1.0, seed=trial.seed
    )
    start = Transformer(trial.shape, backend="reference")
    start.load_state_dict(model.state_dict())
    adam = torch.optim.AdamW(optimizer.groups(trial, model, rules), betas=optimizer.betas(trial))

    def loss_of(tokens: torch.Tensor) -> torch.Tensor:
        return next_token_loss(model(tokens[:, :-1]), tokens[:, 1:])

    return start, trained(adam, loss_of, list(model.parameters()), clip)


def theirs(start: Transformer, recipe: Recipe, clip: float, *, scaled: Recipe) -> list[float]:
    """Of their model with the settings of `recipe`; its weights start as ours, times what `scaled` folds into them."""
    peer = peer_like(start.shape)
    kinds = {name: kind_of(tag_of(param, name)) for name, param in start.named_parameters()}
    folded = {setting.kind: setting.forward for setting in scaled.settings}
    give(start, peer, {name: folded[kind] for name, kind in kinds.items()})
    params = dict(peer.named_parameters())
    settings = {setting.kind: setting for setting in recipe.settings}
    groups = [
        {
            "params": [params[other] for other in theirs_of(name)],
            **settings[kind].model_dump(include={"lr", "weight_decay", "eps"}),
        }
        for name, kind in kinds.items()
    ]
    adam = torch.optim.AdamW(groups, betas=(recipe.beta1, recipe.beta2))

    def loss_of(tokens: torch.Tensor) -> torch.Tensor:
        logits = peer(input_ids=tokens[:, :-1], use_cache=False).logits
        return F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())

    return trained(adam, loss_of, list(peer.parameters()), clip)


def trained(adam: torch.optim.Optimizer, loss_of: Any, params: list[torch.Tensor], clip: float) -> list[float]:
    losses = []
    for tokens in batches():
        adam.zero_grad()
        loss = loss_of(tokens)
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(params, clip)
        adam.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(
    ("kind", "clip", "tolerance"),
    [
        *((kind, 0.0, 1e-5) for kind in ("untied", "tied", "latent")),
        *(("untied", 0.5, 5e-3), ("tied", 0.5, 5e-3), ("latent", 0.5, 3e-2)),  # the clipped norm sees other gradients
    ],
)
def test_losses_of_thirty_steps_agree(clip: float, tolerance: float, kind: str) -> None:
    trial = trial_of(kind)
    recipe = trial_recipe(trial, parametrization="mup")
    multipliers = {setting.kind: setting.forward for setting in recipe.settings}
    of_logits = "norm_final" if kind == "tied" else "head"
    assert multipliers[of_logits] == pytest.approx(1 / 3)
    (logits,) = [setting for setting in recipe.folded().settings if setting.kind == of_logits]
    assert (logits.forward, logits.start) == (1, pytest.approx(1 / 3) if kind == "tied" else 1)
    assert multipliers["expert_down"] == multipliers["attention_out"] != 1
    start, expected = ours(trial, clip)
    assert expected[-1] < expected[0]
    assert theirs(start, recipe.folded(), clip, scaled=recipe) == pytest.approx(expected, rel=tolerance)


def test_without_folding_the_losses_are_others() -> None:
    trial = trial_of()
    recipe = trial_recipe(trial, parametrization="mup")
    start, expected = ours(trial, 0.0)
    pasted = theirs(start, recipe, 0.0, scaled=recipe)
    assert max(abs(a - b) for a, b in zip(pasted, expected, strict=True)) > 0.01


def test_folding_is_nothing_where_there_is_no_multiplier() -> None:
    recipe = trial_recipe(trial_of(rules={}), parametrization="sp")
    assert not recipe.has_multipliers
    assert recipe.folded() == recipe
