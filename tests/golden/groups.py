"""What the golden group lists hold, and how they are written: `python -m tests.golden.groups` writes them anew."""

import json
from pathlib import Path
from typing import Any

from lrladder.benchmark.config.parts import OptimizerConfig
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.training.optimizer import groups
from lrladder.models import parametrization
from lrladder.models.rules import MUTRANSFER, STANDARD, Rules
from tests.benchmark.trials import BATCH, tiny_trial
from tests.models.shapes import latent_shape, moe_shape, public_shape, tied_shape, wide_latent_shape

FOLDER = Path(__file__).parent
RULES: dict[str, Rules] = {
    "sp": STANDARD,
    "mup": MUTRANSFER.model_copy(update={"betas": True}),
    "sp_embedding": Rules(embedding=True),
    "sp_norm": Rules(norm=True),
    "sp_embedding_norm": Rules(embedding=True, norm=True),
    "mup_public": MUTRANSFER,  # of a public model, with biases and a dense first block
    "mup_tied": MUTRANSFER,  # of a model whose embedding is its head
    "mup_latent": MUTRANSFER,  # of a model with latent attention, whose ranks grow by 2 and by 3
}


def golden_trial(name: str, **changes: object) -> Trial:
    """Twice the base's width, 1.5 times its depth, twice its horizon, with a shared expert."""
    base, sizes = moe_shape(depth=2, shared_width=16), {"width": 64, "expert_width": 64, "shared_width": 32, "depth": 3}
    if name == "mup_public":  # the dense block is thrice as wide as the base's
        base, sizes = public_shape(depth=2), sizes | {"heads": 16, "kv_heads": 8, "dense_width": 144}
    if name == "mup_tied":
        base = tied_shape(shared_width=16)
    if name == "mup_latent":
        base, sizes = latent_shape(), wide_latent_shape().model_dump(include=set(wide_latent_shape().model_fields_set))
        sizes.pop("architecture")
    fields: dict[str, object] = {
        "shape": base.model_copy(update=sizes),
        "base": {"shape": base, "batch_tokens": BATCH, "tokens": 10 * BATCH},
        "rules": RULES[name],
        "horizons": (20 * BATCH,),
        "optimizer": OptimizerConfig(eps=1e-8),
    }
    return tiny_trial(**(fields | changes))


def group_list(name: str, **changes: object) -> list[dict[str, Any]]:
    """LR, decay, eps and LR multiplier of each parameter, in the order of the groups."""
    trial = golden_trial(name, **changes)
    built = parametrization.build(
        trial.rules, trial.shape, trial.base.shape, backend="reference", embedding_std=1.0, seed=0
    )
    names = {id(param): key for key, param in built.model.named_parameters()}
    return [
        {**{key: value for key, value in group.items() if key != "params"}, "params": [names[id(p)] for p in params]}
        for group in groups(trial, built.model, built.rules)
        if isinstance(params := group["params"], list)
    ]


def read(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FOLDER / f"groups_{name}.json").read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    for rules in RULES:
        (FOLDER / f"groups_{rules}.json").write_text(json.dumps(group_list(rules), indent=1) + "\n", encoding="utf-8")
