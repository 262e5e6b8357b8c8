"""Train the smallest rung of the study that `design` writes for each public config: `python -m tests.hf.designed`.

Each model trains for about a minute, on short sequences and small batches of a learnable chain of tokens. Names of
configs choose some of them.
"""

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
from lrladder.benchmark.training.train import train
from lrladder.paradigms.lab import Request

CONFIGS = Path(__file__).parent.parent / "data" / "configs"
TOKENS, BATCH_TOKENS, BUDGET, MEMORY = 10**12, 4 * 10**6, 0.05, 80 * 2.0**30  # of the goal, as in docs/own-model.md
SEQ_LEN, BATCH = 256, 1024  # tokens, so that a step takes seconds on one core
FLOPS_PER_MINUTE = 60 * 4e10  # of one core; assumption, only for how long this takes
DIFFERENT = 64  # tokens that the chain visits


class Trained(NamedTuple):
    """`first` is the training loss of the first step, `last` the validation loss at the end, in nats."""

    rung: str
    n_active: int
    steps: int
    first: float
    last: float
    ln_vocab: float
    seconds: float


def smallest(config: Path) -> tuple[str, Trial]:
    """The smallest proxy designed for a public config, with a short run of small batches. Raises InputError."""
    public = read_public(config, seq_len=SEQ_LEN)
    layout = lay_out(Goal(public.shape, TOKENS, BATCH_TOKENS, BUDGET, MEMORY, validate=False))
    study = study_of(layout, public, name="designed")
    rung = min((rung for rung in study.rungs if rung.part == "proxy"), key=lambda rung: rung.n_active)
    steps = max(8, math.ceil(FLOPS_PER_MINUTE / (rung.shape.flops_per_token * BATCH)))
    request = Request(rung.name, "mup", lr_guess(layout), 0, (rung.horizons[0],))
    (trial,) = planned(request, study)
    schedule = trial.schedule.model_copy(update={"warmup_tokens": 2 * BATCH})
    return rung.name, trial.model_copy(
        update={"batch_tokens": BATCH, "horizons": (steps * BATCH,), "schedule": schedule, "val_documents": 1}
    )


def chain(path: Path, trial: Trial) -> Corpus:
    """Tokens of a first-order chain, spread over the whole vocabulary."""
    shape = trial.shape
    steps = np.random.default_rng(0).integers(1, 4, max(trial.horizons) + 4 * shape.seq_len)
    ids = (np.cumsum(steps) % DIFFERENT * (shape.vocab_size // DIFFERENT)).astype(np.uint32)
    windows = ids[: shape.seq_len + 1].reshape(1, -1).astype(np.int64)
    return Corpus(path, "", manifest={}, train=ids, val=ids, val_windows=windows, verified=Verified(path, "", ()))


def trained(config: Path, folder: Path) -> Trained:
    """Train the smallest rung of one public config."""
    name, trial = smallest(config)
    losses: list[float] = []

    def log(row: dict[str, object]) -> None:
        if "loss" in row:
            losses.append(float(row["loss"]))  # type: ignore[arg-type]

    began = time.perf_counter()
    (end,) = train(trial, chain(folder, trial), log=log)
    steps = max(trial.horizons) // BATCH
    seconds = time.perf_counter() - began
    return Trained(name, trial.shape.n_active, steps, losses[0], end.loss, math.log(trial.shape.vocab_size), seconds)


def main(names: list[str]) -> None:
    """Print one line for each config."""
    print("| model | rung | active | steps | first loss, less ln V | last loss | s |\n|---|---|---|---|---|---|---|")
    for config in sorted(CONFIGS.glob("*.json")):
        if names and config.stem not in names:
            continue
        try:
            with tempfile.TemporaryDirectory() as folder:
                found = trained(config, Path(folder))
        except InputError as error:
            print(f"| {config.stem} | refused: {error} |", flush=True)
            continue
        print(
            f"| {config.stem} | {found.rung} | {found.n_active / 1e6:.0f}M | {found.steps} "
            f"| {found.first - found.ln_vocab:+.2f} | {found.last:.2f} | {found.seconds:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
