"""How training scales: several workers against one, and two ranks against one, each of them one core or GPU.

All programs take turns within one run, so that other load on the machine slows all of them.
"""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist

from lrladder.benchmark.checks.bench.peer import Step
from lrladder.benchmark.checks.bench.steps import OURS, engine_steps, model_and_optimizer, router_loss
from lrladder.benchmark.config.training import TrainingSettings
from lrladder.benchmark.environment import cuda_devices
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.workers import LocalExecutor
from lrladder.benchmark.training.corpus import Corpus, load
from lrladder.benchmark.training.entry import Verified
from lrladder.benchmark.training.loop import Loop
from lrladder.benchmark.training.optimizer import share_of, start_deepspeed
from lrladder.benchmark.training.ranks import Ranks
from lrladder.benchmark.training.worker import WorkerSetup, start_worker
from lrladder.models.transformer import next_token_loss

TURNS = 5  # of which medians are taken; assumption
TRIALS = 4  # trained by each number of workers in a turn; assumption
RANKS = 2
DEEPSPEED = "DeepSpeed's plain loop"


def worker_seconds(trial: Trial, corpus: Corpus, counts: tuple[int, ...]) -> dict[int, list[float]]:
    """Seconds in which each number of workers trains equal trials, one value per turn, without the start of workers."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as open_ones:
        executors = {}
        for count in counts:
            place = Path(folder) / str(count)
            (place / "trials").mkdir(parents=True)
            setup = WorkerSetup(corpus.verified, trial.shape.seq_len, trial.val_documents, place)
            executor = LocalExecutor(place, partial(start_worker, setup), workers=count, devices=cuda_devices())
            executors[count] = open_ones.enter_context(closing(executor))
            _seconds(executor, trial, count)  # one trial for each worker, for imports and caches
        turns = [{n: _seconds(executor, trial, TRIALS) for n, executor in executors.items()} for _ in range(TURNS)]
    return {count: [turn[count] for turn in turns] for count in counts}


def _seconds(executor: LocalExecutor, trial: Trial, number: int) -> float:
    began = time.perf_counter()
    list(executor.run([trial.model_copy(update={"seed": seed}) for seed in range(number)]))
    return time.perf_counter() - began


class Timed(NamedTuple):
    """What ranks train, and for how long they are timed."""

    trial: Trial
    corpus: Verified
    steps: int


def rank_seconds(timed: Timed) -> dict[str, dict[int, list[float]]]:
    """Seconds per step by program and number of ranks, one value per turn. The batch is the same for all.

    Programs are our loop, and a loop as a user of DeepSpeed would write it.
    """
    with tempfile.TemporaryDirectory() as folder, ExitStack() as open_ones:
        groups = {n: open_ones.enter_context(_ranks(n, Path(folder), timed)) for n in (1, RANKS)}
        found: dict[str, dict[int, list[float]]] = {name: {n: [] for n in groups} for name in (OURS, DEEPSPEED)}
        for turn in range(TURNS + 1):  # the first turn is for caches
            for name, by_count in found.items():
                for count, pipes in groups.items():
                    seconds = _timed(pipes, name) / timed.steps
                    if turn:
                        by_count[count].append(seconds)
    return found


def _timed(pipes: list[Connection], name: str) -> float:
    """Seconds of the slowest rank. Ranks of other groups wait meanwhile, without using a core."""
    for pipe in pipes:
        pipe.send(name)
    return float(max(pipe.recv() for pipe in pipes))


@contextmanager
def _ranks(count: int, folder: Path, timed: Timed) -> Iterator[list[Connection]]:
    """Pipes to ranks that are ready to train."""
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for rank in range(count):
        ours, theirs = context.Pipe()
        processes.append(context.Process(target=_serve, args=(rank, count, folder, timed, theirs), daemon=True))
        processes[-1].start()
        theirs.close()  # so that a rank that dies is an EOFError here
        pipes.append(ours)
    try:
        for pipe in pipes:
            pipe.recv()
        yield pipes
    finally:
        for process in processes:
            process.kill()


def _serve(rank: int, count: int, folder: Path, timed: Timed, pipe: Connection) -> None:
    """One rank: train the steps of the program that the parent names, and answer with the seconds."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
    torch.set_num_threads(1)
    start_deepspeed(f"file://{folder / f'ranks-{count}'}")
    trial = timed.trial.model_copy(update={"training": TrainingSettings(devices=count)})
    corpus = load(timed.corpus, trial.shape.seq_len, trial.val_documents)
    loop, step = Loop(trial, corpus, lambda row: None), deepspeed_step(trial)
    works: dict[str, Callable[[], None]] = {
        OURS: partial(engine_steps, loop, timed.steps),
        DEEPSPEED: partial(_steps, step, trial, corpus, timed.steps),
    }
    pipe.send("ready")
    while True:
        work = works[pipe.recv()]
        dist.barrier()
        began = time.perf_counter()
        work()
        pipe.send(time.perf_counter() - began)


def _steps(step: Step, trial: Trial, corpus: Corpus, steps: int) -> None:
    ranks = Ranks()
    for i in range(steps):
        batch = corpus.batch(step=i, batch_tokens=trial.batch_tokens, seq_len=trial.shape.seq_len, seed=trial.seed)
        step(ranks.share(torch.from_numpy(batch)))


def deepspeed_step(trial: Trial) -> Step:
    """A step of DeepSpeed with its defaults, on our model and parameter groups. The balance loss is of each rank."""
    import deepspeed

    model, optimizer = model_and_optimizer(trial, torch.device("cpu"))
    config: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": share_of(trial),
        "gradient_clipping": trial.optimizer.grad_clip,
        "steps_per_print": 10**9,
    }
    engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config)

    def step(tokens_bs: torch.Tensor) -> None:
        tokens = tokens_bs.to(engine.device)
        output = engine(tokens[:, :-1])
        loss = next_token_loss(output, tokens[:, 1:])
        engine.backward(loss + router_loss(trial, output))
        engine.step()
        loss.item()  # our loop reads the loss at every step too

    return step
