"""Writes a layout as the YAML of a study, which `lrladder run` accepts without changes."""

import math
from typing import Any

import yaml

from lrladder.benchmark.design.layout import TRANSFER, VALIDATION, Layout, PlannedRung
from lrladder.benchmark.design.public_config import Public
from lrladder.benchmark.studies.regret.config import RegretConfig, parse_config
from lrladder.models.shape import ModelShape
from lrladder.paradigms.published import LAWS

WARMUP = 0.005  # warm-up as a share of a rung's longest horizon; assumption
# Tuned for preset modules. Assumption: they also suit other ladders, which `lrladder tune-recipe` can test.
EMBEDDING_LR, EMBEDDING_STD = 45.25, 2.828
TIED_LR = 4.0  # LR of a tied matrix over that of the matrices; best of three at width 192 (docs/theory.md); assumption
HEAD = """# Made by `lrladder design`. The corpus is yours to name: by default it is the sources of Python, with a
# vocabulary of the goal's size. Text: corpus.text; token ids of the goal's tokenizer: corpus.train_tokens, val_tokens.
"""


def study_of(layout: Layout, public: Public, *, name: str) -> RegretConfig:
    """The config that `study_text` gives when it is read. Raises InputError if it is not valid."""
    return parse_config(study_text(layout, public, name=name), source="design")


def study_text(layout: Layout, public: Public, *, name: str) -> str:
    """The study as YAML, with a comment that says what the user has to fill in."""
    return HEAD + yaml.safe_dump(_data(layout, public, name), sort_keys=False, width=120)


def lr_guess(layout: Layout) -> float:
    """Where searches start: the geometric mean of the published laws at muTransfer's proxy and its longest horizon."""
    return math.exp(sum(_published(layout)) / len(_published(layout)))


def lr_spread(layout: Layout) -> float:
    """Standard deviation of ln lr among the published laws at the same point."""
    logs = _published(layout)
    return math.sqrt(sum((log - math.log(lr_guess(layout))) ** 2 for log in logs) / (len(logs) - 1))


def _published(layout: Layout) -> list[float]:
    """ln lr by each published law that needs only the size and the tokens."""
    base = next(rung for rung in layout.proxies if rung.name == layout.base)
    shape = base.proxy.shape
    return [law.ln_lr(shape.n_active, shape.n_total, base.horizons[-1]) for law in LAWS if not law.needs]


def _data(layout: Layout, public: Public, name: str) -> dict[str, Any]:
    goal, shape = layout.goal, layout.goal.shape
    tied = shape.architecture.tied
    optimizer: dict[str, float] = {} if tied else {"embedding_std": EMBEDDING_STD}
    if public.aux_loss_coef is not None:
        optimizer["aux_loss_coef"] = public.aux_loss_coef
    return {
        "name": name,
        "corpus": {"vocab_size": shape.vocab_size},
        "ladder": {
            "head_size": shape.head_size,
            "num_experts": shape.num_experts,
            "top_k": shape.top_k,
            "expert_ratio": shape.expert_width / shape.width,
            **_other_ratios(shape),
            "seq_len": shape.seq_len,
            "architecture": shape.architecture.model_dump(),
            "rungs": [*_rungs(layout), _goal_rung(layout)],
        },
        "schedule": {"warmup_tokens": _warmup(goal.tokens, goal.whole_run[1])},  # of the goal; each rung has its own
        "optimizer": optimizer,
        "recipe": {"head_lr": TIED_LR} if tied else {"embedding_lr": EMBEDDING_LR},
        "base": layout.base,
        "entries": _entries(layout),
    }


def _other_ratios(shape: ModelShape) -> dict[str, Any]:
    """Of shared experts, dense first blocks and latents, where the model has them."""
    found: dict[str, Any] = {"shared_ratio": shape.shared_width / shape.width} if shape.shared_width else {}
    if shape.dense_width:
        found |= {"dense_blocks": shape.dense_blocks, "dense_ratio": shape.dense_width / shape.width}
    if shape.kv_rank:
        found |= {"kv_rank_ratio": shape.kv_rank / shape.width}
        found |= {"q_rank_ratio": shape.q_rank / shape.width} if shape.q_rank else {}
        found |= {"rope_size": shape.rope_size, "value_size": shape.value_size}
    return found


def _entries(layout: Layout) -> dict[str, dict[str, Any]]:
    """The entries `fitting` and `mutransfer`. Their budgets are in runs of the goal."""
    guess = {"lr_guess": float(f"{lr_guess(layout):.2g}")}
    budget = layout.goal.budget
    search = (1 - TRANSFER - (VALIDATION if layout.target else 0.0)) * budget
    fitting = {"paradigm": "fitting", "strategy": "search_factor", "parametrization": "sp"}
    transfer = {"paradigm": "mutransfer", "parametrization": "mup"}
    return {
        "fitting": {**fitting, "budget": float(f"{search:.3g}"), **guess},
        "mutransfer": {**transfer, "budget": float(f"{TRANSFER * budget:.3g}"), **guess, "points": 5, "seeds": [0, 1]},
    }


def _rungs(layout: Layout) -> list[dict[str, Any]]:
    rungs = [_rung(rung, "proxy") for rung in layout.proxies]
    return [*rungs, _rung(layout.target, "target")] if layout.target else rungs


def _rung(rung: PlannedRung, part: str) -> dict[str, Any]:
    return _sizes(rung.name, part, rung.proxy.shape) | {
        "batch_tokens": rung.batch_tokens,
        "warmup_tokens": _warmup(max(rung.horizons), rung.batch_tokens),
        "horizons": list(rung.horizons),
    }


def _warmup(tokens: int, batch: int) -> int:
    """Tokens of the warm-up, in whole steps."""
    return batch * max(1, round(WARMUP * tokens / batch))


def _goal_rung(layout: Layout) -> dict[str, Any]:
    goal = layout.goal
    tokens, batch = goal.whole_run
    return _sizes("model", "goal", goal.shape) | {"batch_tokens": batch, "horizons": [tokens]}


def _sizes(name: str, part: str, shape: ModelShape) -> dict[str, Any]:
    keys = (
        *("width", "depth", "heads", "kv_heads", "expert_width", "shared_width", "dense_blocks", "dense_width"),
        *("kv_rank", "q_rank"),
    )
    kept = {key: getattr(shape, key) for key in keys}
    return {"name": name, "part": part, **{key: size for key, size in kept.items() if size}}
