"""From a trial to a DeepSpeed engine with AdamW, and the LRs that the engine must hold at each step."""

import os
import socket
from typing import Any

import torch

from benchmark.lab.trial import Trial
from models import parametrization


def start_deepspeed() -> Any:
    """Import DeepSpeed once per process, with one rank unless a launcher has set more."""
    has_cuda = torch.cuda.is_available()
    defaults = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
    for key, value in defaults.items():
        os.environ.setdefault(key, value)
    os.environ.setdefault("MASTER_PORT", str(_free_port()))
    if not has_cuda:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    import deepspeed
    import deepspeed.ops

    if not has_cuda:
        # else the first initialize() compiles a CPU op for a minute that training never uses
        deepspeed.ops.__compatible_ops__ = {}
    if not torch.distributed.is_initialized():
        deepspeed.init_distributed(dist_backend="nccl" if has_cuda else "gloo")
    return deepspeed


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def build_engine(trial: Trial) -> Any:
    """A DeepSpeed engine over an initialised model; each group keeps its `lr_multiplier`."""
    deepspeed = start_deepspeed()
    settings = trial.optimizer
    model, rules = parametrization.build(
        trial.parametrization,
        trial.shape,
        trial.base,
        backend=trial.expert_backend,
        embedding_std=settings.embedding_std,
        seed=trial.seed,
    )
    optimizer = torch.optim.AdamW(
        parametrization.param_groups(model, rules, lr=trial.lr, weight_decay=settings.weight_decay),
        betas=(settings.beta1, settings.beta2),
        eps=settings.eps,
        fused=True,
    )
    engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=engine_config(trial))
    return engine


def engine_config(trial: Trial) -> dict[str, Any]:
    world = int(os.environ.get("WORLD_SIZE", "1"))
    sequences = trial.batch_tokens // trial.shape.seq_len
    if sequences % world:
        raise ValueError(f"batch of {sequences} sequences does not divide over {world} ranks")
    return {
        "train_micro_batch_size_per_gpu": sequences // world,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": trial.optimizer.grad_clip,
        "zero_optimization": {"stage": trial.optimizer.zero_stage},
        "bf16": {"enabled": trial.precision == "bf16"},
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 10**9,
    }


def set_lrs(engine: Any, lr: float) -> None:
    """Write lr x role multiplier into every group, then check what the engine holds: nothing else may schedule LRs."""
    groups = engine.optimizer.param_groups
    for group in groups:
        group["lr"] = lr * group["lr_multiplier"]
    held = engine.get_lr()
    assert held == [lr * group["lr_multiplier"] for group in groups], f"the engine holds {held}"
