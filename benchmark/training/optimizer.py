"""Builds a DeepSpeed engine with AdamW for a trial, and sets the LR of each group at each step."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch._C._distributed_c10d import HashStore

from lrladder.benchmark.lab.trial import Trial, role_lrs_of, token_rule_of
from lrladder.benchmark.training.adamw import AdamW
from lrladder.benchmark.training.expert_parallel import mark_groups, spread_experts
from lrladder.benchmark.training.memory import BUCKET, GATHERED
from lrladder.models import parametrization
from lrladder.models.roles import ATTENTION_INPUT
from lrladder.models.rules import Rule

UNSPLIT = 100_000  # DeepSpeed's default: ZeRO 3 leaves parameters of up to so many values on every rank


def start_deepspeed(meeting: str | None = None) -> Any:
    """Import DeepSpeed, once per process. There is one rank unless a launcher has set more.

    Several ranks find each other through `meeting`, a file:// address that torch makes, or else by MASTER_ADDR.
    """
    has_cuda = torch.cuda.is_available()
    for key, value in {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}.items():
        os.environ.setdefault(key, value)
    if not has_cuda:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    with _without("mlflow"):
        import deepspeed
        import deepspeed.ops

    if not has_cuda:
        # without this the first initialize() spends a minute on compiling a CPU op that training never uses
        deepspeed.ops.__compatible_ops__ = {}
    if not torch.distributed.is_initialized():
        _start_ranks("nccl" if has_cuda else "gloo", meeting)
    deepspeed.init_distributed(auto_mpi_discovery=False)
    return deepspeed


@contextmanager
def _without(package: str) -> Iterator[None]:
    """A context in which a package cannot be imported for the first time.

    DeepSpeed's autotuner, which training does not use, imports mlflow where it is installed. That takes 2 s.
    """
    absent = package not in sys.modules
    if absent:
        sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if absent:
            del sys.modules[package]


def _start_ranks(backend: str, meeting: str | None) -> None:
    """With one rank no port is opened. All workers would share a MASTER_PORT that is set in the environment."""
    if os.environ["WORLD_SIZE"] == "1":
        torch.distributed.init_process_group(backend, store=HashStore(), rank=0, world_size=1)
        return
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if backend == "nccl":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group(backend, init_method=meeting, rank=rank, world_size=world)


def build_model(trial: Trial) -> parametrization.Built:
    """The trial's model with its initial weights, and the rule of each parameter."""
    return parametrization.build(
        trial.rules,
        trial.shape,
        trial.base.shape,
        backend=trial.expert_backend,
        embedding_std=trial.optimizer.embedding_std,
        seed=trial.seed,
        dtype=dtype_of(trial),
    )


def build_engine(trial: Trial, micro_batch: int | None = None) -> Any:
    """A DeepSpeed engine with an initialised model. Each parameter group has its `lr_multiplier`.

    `micro_batch` is the number of sequences that a rank takes at a time; None: its whole share of the batch.
    """
    deepspeed = start_deepspeed()
    model, rules = build_model(trial)
    if trial.training.expert_parallel > 1:
        spread_experts(model, trial.training.expert_parallel)
    params = groups(trial, model, rules)
    mark_groups(params)
    optimizer = AdamW(params, betas=betas(trial), fused=True)
    if trial.training.recompute == "blocks":
        model.call_block = _recomputed
    config = engine_config(trial, micro_batch or share_of(trial))
    engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config)
    if torch.distributed.get_world_size() == 1 and trial.training.zero_stage == 0:
        engine.enable_backward_allreduce = False  # it would copy all gradients twice to sum them over one rank
        # DeepSpeed's own walks over all modules at each step
        engine.zero_grad = partial(_forget_gradients, list(model.parameters()))
    return engine


def _forget_gradients(params: list[torch.nn.Parameter]) -> None:
    for param in params:
        param.grad = None


def _recomputed(block: torch.nn.Module, *args: object) -> Any:
    """Call a block without keeping its activations. The backward pass computes them again."""
    from deepspeed.runtime.activation_checkpointing.checkpointing import checkpoint

    found = checkpoint(block, *args) if torch.is_grad_enabled() else block(*args)
    return found if isinstance(found, tuple) else (found,)  # it unpacks the output of a dense block


def dtype_of(trial: Trial) -> torch.dtype:
    """The dtype of activations and matrix products. Weights, gradients and moments are always fp32.

    DeepSpeed's own bf16 mode is not used. It reads about 25 numbers back at every step, and it skips steps whose
    gradients are not finite, although these show the start of a divergence.
    """
    return torch.bfloat16 if trial.precision == "bf16" else torch.float32


def groups(trial: Trial, model: torch.nn.Module, rules: dict[str, Rule]) -> list[dict[str, object]]:
    """The parameter groups of a trial, with their peak LRs."""
    settings = trial.optimizer
    return parametrization.param_groups(
        model,
        rules,
        lr=trial.lr,
        weight_decay=settings.weight_decay,
        eps=settings.eps,
        tokens=token_rule_of(trial),
        role_lrs=role_lrs_of(trial),
    )


def betas(trial: Trial) -> tuple[float, float]:
    """Adam's betas under the token rule of the trial. They are at least 0; much shorter runs would give less."""
    pace = token_rule_of(trial).one_minus_beta
    settings = trial.optimizer
    return max(0.0, 1 - pace * (1 - settings.beta1)), max(0.0, 1 - pace * (1 - settings.beta2))


def tau_ema(trial: Trial, groups: Iterable[Mapping[str, Any]], horizon: int) -> float | None:
    """The time over which AdamW averages, as a fraction of the run: batch / (lr weight_decay tokens), arXiv 2505.13738.

    It is computed for the matrix with which attention reads the residual stream, in the optimizer's `groups`, at the
    peak LR. Groups are in the order of the model, where that matrix comes first. None without weight decay.
    """
    known = list(groups)
    first = next(group for role in ATTENTION_INPUT for group in known if role in group["roles"])
    multiplier, decay = first["lr_multiplier"], first["weight_decay"]
    return trial.batch_tokens / (trial.lr * multiplier * decay * horizon) if decay else None


def share_of(trial: Trial) -> int:
    """Sequences of a batch that one rank trains on."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    sequences = trial.batch_tokens // trial.shape.seq_len
    if sequences % world:
        raise ValueError(f"batch of {sequences} sequences does not divide over {world} ranks")
    return sequences // world


def engine_config(trial: Trial, micro_batch: int) -> dict[str, Any]:
    """DeepSpeed's configuration. Keys whose defaults would change numbers are always there."""
    training, share = trial.training, share_of(trial)
    if share % micro_batch:
        raise ValueError(f"a share of {share} sequences does not divide into micro batches of {micro_batch}")
    zero: dict[str, Any] = {"stage": training.zero_stage, "stage3_param_persistence_threshold": UNSPLIT}
    bucket = min(BUCKET, trial.shape.n_total + trial.shape.n_embedding)  # DeepSpeed allocates all of it
    zero |= {"reduce_bucket_size": bucket, "allgather_bucket_size": bucket, "stage3_max_live_parameters": GATHERED}
    if training.offload == "cpu":
        zero["offload_optimizer"] = {"device": "cpu"}
    return {
        "train_micro_batch_size_per_gpu": micro_batch,
        "gradient_accumulation_steps": share // micro_batch,
        # DeepSpeed's default is 1.0. Without ZeRO, clip_gradients clips.
        "gradient_clipping": trial.optimizer.grad_clip if training.zero_stage else 0.0,
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,  # its own AdamW for the CPU would have to be compiled
        "steps_per_print": 10**9,
    }


def set_lrs(engine: Any, lr: float) -> None:
    """Set the LR of every group to lr x its multiplier. Then check the engine, as nothing else may schedule LRs."""
    groups = engine.optimizer.param_groups
    for group in groups:
        group["lr"] = lr * group["lr_multiplier"]
    held = engine.get_lr()
    assert held == [lr * group["lr_multiplier"] for group in groups], f"the engine holds {held}"
