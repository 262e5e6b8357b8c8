"""The recipe for DeepSpeed: its config. What a config cannot say comes from the recipe for torch."""

import json

from lrladder.benchmark.lab.recipe import Recipe
from lrladder.benchmark.recommend.study import Advice
from lrladder.benchmark.recommend.summary import FOLDED, summary
from lrladder.benchmark.recommend.trainers.code import sequences
from lrladder.models.roles import ATTENTION_INPUT

NOTE = (
    "LR, weight decay and eps differ by role, which a DeepSpeed config cannot say: save `lrladder recommend ... "
    "--format torch` as recipe.py, and pass deepspeed.initialize model_parameters=recipe.param_groups(recipe.by_name("
    "model, patterns)), which override the defaults of this config. No scheduler is configured: DeepSpeed's own write "
    "one LR into all groups. Pass lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, "
    "recipe.factor), which scales each group's own LR."
)


def recipe_text(advice: Advice, recipe: Recipe) -> str:
    """The config as JSON. Raises InputError if a batch is not a whole number of sequences."""
    hidden = next(one for role in ATTENTION_INPUT for one in recipe.settings if one.role == role)
    defaults = {"lr": hidden.lr, "betas": [recipe.beta1, recipe.beta2], "eps": hidden.eps}
    config = {
        "train_batch_size": sequences(advice),
        "gradient_clipping": recipe.grad_clip,
        "optimizer": {"type": "AdamW", "params": {**defaults, "weight_decay": hidden.weight_decay}},
        "lrladder": {
            "note": NOTE,
            "summary": summary(advice),
            **({"folded": FOLDED} if advice.folded else {}),
            "flags": list(advice.flags),
            "lr_ratios": recipe.lr_ratios,
            "schedule": recipe.schedule,
            "sequence_length": advice.sizes.seq_len if advice.sizes else None,
            "roles": {
                setting.kind: setting.model_dump(include={"lr", "weight_decay", "eps", "init_std", "forward", "start"})
                for setting in recipe.settings
            },
        },
    }
    return json.dumps(config, indent=2)
