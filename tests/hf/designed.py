"""Train the smallest rung of the study that `design` writes for each public config: `python -m tests.hf.designed`.

The rung has the shape that `design` gives it with the settings of docs/own-model.md. It trains for about a minute of
one core, on short sequences and small batches of a learnable chain of tokens. A rung that needs more memory than
`--memory` (GiB) is one line that says so. Names of configs choose some of them.
"""

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lrladder.benchmark.design.layout import Goal, lay_out
from lrladder.benchmark.design.public_config import read_public
from lrladder.benchmark.design.study_text import lr_guess, study_of
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.resolve import planned
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.training.corpus import Corpus
from lrladder.benchmark.training.entry import Verified
from lrladder.benchmark.training.loop import Loop
from lrladder.models.shape import ModelShape
from lrladder.paradigms.lab import Request

CONFIGS = Path(__file__).parent.parent / "data" / "configs"
GIB = 2.0**30
TOKENS, BATCH_TOKENS, BUDGET, MEMORY = 10**12, 4 * 10**6, 0.05, 80 * GIB  # of the goal, as in docs/own-model.md
SEQ_LEN, BATCH = 128, 512  # tokens, so that a step takes seconds on one core
FLOPS_PER_SECOND, SECONDS_PER_PARAMETER = 4e10, 2e-8  # of a step on one core; assumptions, only for how long this takes
SECONDS, MIN_STEPS = 60, 8
STATE_BYTES, OTHER_BYTES = 16, 0.75 * GIB  # weight, gradient and two moments; then assumed for process and activations
DIFFERENT = 64  # tokens that the chain visits


class TooLarge(Exception):
    """The smallest rung does not fit into the memory of this machine."""


class Trained(NamedTuple):
    """`first` is the training loss of the first step, `last` that of one sequence of the same text at the end, in nats.

    `seconds` are those of the processor, as others may use the machine too.
    """

    rung: str
    n_active: int
    steps: int
    first: float
    last: float
    ln_vocab: float
    seconds: float


def size_of(shape: ModelShape) -> int:
    """All parameters of a model."""
    return shape.n_total + shape.n_embedding


def smallest(config: Path, memory: float) -> tuple[str, Trial]:
    """The smallest designed proxy that fits into `memory` bytes, with a short run of small batches.

    It is that of the study without a validation target, as in most rows of docs/own-model.md, or else that of the study
    with one. Raises InputError and TooLarge.
    """
    public = read_public(config)
    needs: list[tuple[float, str]] = []
    for validate in (False, True):
        layout = lay_out(Goal(public.shape, TOKENS, BATCH_TOKENS, BUDGET, MEMORY, validate=validate))
        study = study_of(layout, public, name="designed")
        rung = min((rung for rung in study.rungs if rung.part == "proxy"), key=lambda rung: size_of(rung.shape))
        need = STATE_BYTES * size_of(rung.shape) + OTHER_BYTES
        if need <= memory:
            (trial,) = planned(Request(rung.name, "mup", lr_guess(layout), 0, (rung.horizons[0],)), study)
            return rung.name + " (with a validation target)" * validate, short(trial)
        needs.append((need / GIB, f"{rung.name} ({size_of(rung.shape) / 1e6:.0f}M parameters)"))
    need, name = min(needs)
    raise TooLarge(f"not trained: {name} needs {need:.1f} GiB, more than --memory {memory / GIB:g}")


def short(trial: Trial) -> Trial:
    """About a minute of a trial, on shorter sequences and smaller batches."""
    shape = trial.shape.model_copy(update={"seq_len": SEQ_LEN})
    step = shape.flops_per_token * BATCH / FLOPS_PER_SECOND + SECONDS_PER_PARAMETER * size_of(shape)
    steps = max(MIN_STEPS, round(SECONDS / step))
    schedule = trial.schedule.model_copy(update={"warmup_tokens": 2 * BATCH})
    update = {"shape": shape, "batch_tokens": BATCH, "horizons": (steps * BATCH,), "schedule": schedule}
    return trial.model_copy(update=update | {"val_documents": 1})


def chain(path: Path, trial: Trial) -> Corpus:
    """Tokens of a first-order chain, spread over the whole vocabulary."""
    shape = trial.shape
    steps = np.random.default_rng(0).integers(1, 4, max(trial.horizons) + 4 * shape.seq_len)
    ids = (np.cumsum(steps) % DIFFERENT * (shape.vocab_size // DIFFERENT)).astype(np.uint32)
    windows = ids[: shape.seq_len + 1].reshape(1, -1).astype(np.int64)
    return Corpus(path, "", manifest={}, train=ids, val=ids, val_windows=windows, verified=Verified(path, "", ()))


def trained(config: Path, folder: Path, memory: float) -> Trained:
    """Train the smallest rung of one public config.

    One branch is trained to its end, and nothing returns to its trunk or compares with its first weights. So the copies
    of the weights that a run keeps for this are not made.
    """
    name, trial = smallest(config, memory)
    began = time.process_time()
    loop = Loop(trial, chain(folder, trial), lambda row: None, micro_batch=1)
    loop.watch._sees_weights = False
    loop.watch._start.clear()
    (horizon,) = trial.horizons
    try:
        loop.train_to(horizon, horizon=horizon)
        last = loop.validate().loss
    finally:
        loop.engine.destroy()
    seconds, shape = time.process_time() - began, trial.shape
    return Trained(name, shape.n_active, horizon // BATCH, loop.losses[0], last, math.log(shape.vocab_size), seconds)


def main(words: list[str]) -> None:
    """Print one line for each config."""
    parser = argparse.ArgumentParser(prog="python -m tests.hf.designed")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--memory", type=float, default=7.5, help="GiB that a run may take")
    args = parser.parse_args(words)
    print("| model | rung | active | steps | first loss | last loss | ln V | CPU s |\n" + "|---" * 8 + "|")
    for config in sorted(CONFIGS.glob("*.json")):
        if args.names and config.stem not in args.names:
            continue
        try:
            with tempfile.TemporaryDirectory() as folder:
                found = trained(config, Path(folder), args.memory * GIB)
        except (InputError, TooLarge) as reason:
            print(f"| {config.stem} | {reason} |", flush=True)
            continue
        print(
            f"| {config.stem} | {found.rung} | {found.n_active / 1e6:.0f}M | {found.steps} "
            f"| {found.first:.2f} | {found.last:.2f} | {found.ln_vocab:.2f} | {found.seconds:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
