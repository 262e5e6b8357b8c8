"""What two (or four) gloo ranks do for the tests of training on several devices. All cases share one start.

`python -m tests.benchmark.training.rank_cases RANKS STEPS` prints how far each setting is from the plain run.
"""

import itertools
import multiprocessing
import os
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from lrladder.benchmark.config.parts import OptimizerConfig
from lrladder.benchmark.config.training import TrainingSettings
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.ladder import Base
from lrladder.benchmark.schedules import ScheduleConfig
from lrladder.benchmark.training import checkpoints, optimizer
from lrladder.benchmark.training import run as run_module
from lrladder.benchmark.training.checkpoints import Clock
from lrladder.benchmark.training.corpus import Corpus
from lrladder.benchmark.training.divergence import Diverged
from lrladder.benchmark.training.loop import Loop
from lrladder.benchmark.training.optimizer import build_engine, start_deepspeed
from lrladder.benchmark.training.shared import ALONE, Sharing
from lrladder.benchmark.training.state import BYTES, EngineState, size_of
from lrladder.benchmark.training.train import train
from lrladder.models.experts.exchange import share_of
from tests.benchmark.trials import BATCH, biased_shape, no_log, outcome, tiny_corpus, tiny_trial, wide_shape
from tests.golden.groups import golden_trial
from tests.models.shapes import latent_shape

STAGES = (0, 1, 2, 3)
KEYS = ("lr", "weight_decay", "eps", "lr_multiplier")
KILLED_AT = 9  # steps, in the first decay
SEQUENCES = 8  # of a batch of the equality cases
LATENT_STEPS = 6
Settings = tuple[TrainingSettings, int | None]
Which = Literal["all", "equality", "spread"]  # cases: all; the table of docs/devices.md; those of spread experts
# what a run that is killed goes on with, by name
CONTINUED = {str(stage): TrainingSettings.model_validate({"zero_stage": stage}) for stage in STAGES}
SPREAD = {"devices": 2, "expert_parallel": 2}
CONTINUED |= {f"{stage} experts": TrainingSettings.model_validate({**SPREAD, "zero_stage": stage}) for stage in (0, 2)}


class Killed(Exception):
    """In place of a signal."""


def settings(steps: int, count: int = 2) -> dict[str, Settings]:
    """Every stage with all at once, and with four micro batches whose blocks are recomputed; all pairs for 50 steps."""
    found: dict[str, Settings] = {}
    for stage, micro, recompute in itertools.product(STAGES, (None, 1), ("none", "blocks")):
        if steps >= 50 or (micro is None) == (recompute == "none"):
            training = TrainingSettings.model_validate({"zero_stage": stage, "recompute": recompute})
            found[f"zero{stage} micro={micro} recompute={recompute}"] = (training, micro)
    found["zero2 offload"] = (TrainingSettings(zero_stage=2, offload="cpu"), None)
    return found | spread_settings(steps, count)


def spread_settings(steps: int, count: int) -> dict[str, Settings]:
    """Experts that are spread over two ranks, and over all `count`, for 50 steps; else some of these settings."""
    stages, micros, recomputes = STAGES[:3], (None, 1), ("none", "blocks")
    if steps >= 50:
        cases = list(itertools.product(stages, micros, recomputes, ("none",), sorted({2, count})))
        cases.append((2, None, "none", "cpu", 2))
    elif count == 2:
        cases = [(0, None, "none", "none", 2), (1, 1, "none", "none", 2), (2, 1, "blocks", "none", 2)]
        cases.append((2, None, "none", "cpu", 2))
    else:
        cases = [(0, None, "none", "none", 2), (1, None, "none", "none", 4), (2, 1, "none", "none", 2)]
    found: dict[str, Settings] = {}
    for stage, micro, recompute, offload, spread in cases:
        plain = {"zero_stage": stage, "recompute": recompute, "offload": offload, "expert_parallel": spread}
        training = TrainingSettings.model_validate(plain | {"devices": count})
        name = f"zero{stage} micro={micro} recompute={recompute} offload={offload} experts over {spread}"
        found[name] = (training, micro)
    return found


def latent_settings() -> dict[str, Settings]:
    """Every stage once, for a model with latent attention. Stage 3 cannot spread experts."""
    cases = [(0, None, "none", 2), (1, 1, "none", 2), (2, 1, "blocks", 2), (3, 1, "blocks", 1)]
    found: dict[str, Settings] = {}
    for stage, micro, recompute, spread in cases:
        plain = {"zero_stage": stage, "recompute": recompute, "expert_parallel": spread, "devices": 2}
        name = f"latent zero{stage} micro={micro} recompute={recompute} experts over {spread}"
        found[name] = (TrainingSettings.model_validate(plain), micro)
    return found


def latent_trial(**changes: object) -> Trial:
    """As `equality_trial`, of a model with latent attention and biases that balance its experts."""
    base = Base(shape=latent_shape(), batch_tokens=BATCH, tokens=20 * BATCH)
    return equality_trial(LATENT_STEPS, shape=latent_shape(), base=base, **changes)


def equality_trial(steps: int, **changes: object) -> Trial:
    """An LR that does not amplify rounding; gradients are clipped at every step."""
    fields: dict[str, object] = {"shape": wide_shape(), "lr": 0.003, "batch_tokens": SEQUENCES * 16}
    clipped = OptimizerConfig(grad_clip=0.2)
    return tiny_trial(**(fields | {"horizons": (steps * SEQUENCES * 16,), "optimizer": clipped} | changes))


def losses_and_norms(trial: Trial, folder: Path, micro_batch: int | None = None) -> tuple[list[float], list[float]]:
    loop = Loop(trial, tiny_corpus(folder, trial.shape), no_log, micro_batch=micro_batch)
    loop.train_to(trial.horizons[0], horizon=trial.horizons[0])
    norms = list(loop.watch.state["grad_norms"])
    loop.engine.destroy()
    return loop.losses, norms


def gradients(trial: Trial, folder: Path) -> list[np.ndarray]:
    """Of every parameter after one backward pass, whole."""
    loop = Loop(trial, tiny_corpus(folder, trial.shape), no_log)
    loop._accumulation.backward(loop._batch())
    found = []
    for param in loop.engine.module.parameters():
        assert param.grad is not None
        share = share_of(param)
        found.append((param.grad if share is None else share.join(param.grad)).numpy())
    loop.engine.destroy()
    return found


def balanced_trial(stage: int) -> Trial:
    """Experts that a bias balances, quickly."""
    training = TrainingSettings.model_validate({"zero_stage": stage})
    own = OptimizerConfig(bias_rate=0.05, aux_loss_coef=0.0)
    return equality_trial(6, shape=biased_shape(), optimizer=own, training=training)


def biases(trial: Trial, folder: Path, micro_batch: int | None = None) -> list[list[float]]:
    """Of the experts in each block: after training; and again from the whole state, which another loop restores."""
    loop, later = (Loop(trial, tiny_corpus(folder, trial.shape), no_log, micro_batch=micro_batch) for _ in range(2))
    loop.train_to(trial.horizons[0], horizon=trial.horizons[0])
    whole = [loop.whole()]
    if loop.ranks.count > 1:  # from the first rank's file
        torch.distributed.broadcast_object_list(whole)
    later.restore(whole[0])
    found = [[buffer.tolist() for buffer in one.engine.module.buffers()] for one in (loop, later)]
    assert found[0] == found[1]
    for one in (loop, later):
        one.engine.destroy()
    return found[0]


def averaged_trial(training: TrainingSettings) -> Trial:
    """The average of its weights is read, and the search of LRs of roles gives its experts an LR of their own."""
    fields = {"schedule": ScheduleConfig(warmup_tokens=128, read="ema"), "role_lrs": (("expert_up", 0.5),)}
    return equality_trial(6, training=training, **fields)


def whole_after_move(trial: Trial, folder: Path) -> EngineState:
    """The whole state after training, out of another loop that has restored it from the first rank."""
    loop, later = (Loop(trial, tiny_corpus(folder, trial.shape), no_log) for _ in range(2))
    loop.train_to(trial.horizons[0], horizon=trial.horizons[0])
    whole = [loop.whole(loop.snapshot())]
    if loop.ranks.count > 1:
        torch.distributed.broadcast_object_list(whole)
    later.restore(whole[0])
    found = later.whole()
    assert size_of(loop.engine) == BYTES * sum(weight.numel() for weight in whole[0].params)
    for one in (loop, later):
        one.engine.destroy()
    return found


def resumed_trial(name: str) -> Trial:
    return tiny_trial(lr=0.003, shape=wide_shape(), training=CONTINUED[name])


def killed(trial: Trial, folder: Path, *, corpus: Corpus | None = None, sharing: Sharing = ALONE) -> None:
    """Train with a checkpoint at every step, and stop as a kill would."""
    steps, real, due = iter(range(KILLED_AT)), Loop._step, Clock.due

    def until_killed(self: Loop, lr: float, *, decaying: bool) -> None:
        if next(steps, None) is None:
            raise Killed
        real(self, lr, decaying=decaying)

    Loop._step, Clock.due = until_killed, lambda self: True  # type: ignore[method-assign]
    try:
        corpus = corpus or tiny_corpus(folder, trial.shape)
        train(trial, corpus, log=no_log, trunks=folder, sharing=sharing)
    except Killed:
        return
    finally:
        Loop._step, Clock.due = real, due  # type: ignore[method-assign]


def finished(trial: Trial, folder: Path, trunks: Path | None) -> list[dict[str, object]]:
    found = train(trial, tiny_corpus(folder, trial.shape), log=no_log, trunks=trunks)
    return [outcome(m) for m in found]


def _groups(stage: int) -> list[dict[str, float]]:
    """What AdamW reads in each group, and how many numbers this rank updates."""
    engine = build_engine(golden_trial("mup", training=TrainingSettings(zero_stage=stage)))
    numels = [sum(p.numel() for p in group["params"]) for group in engine.optimizer.param_groups]
    if stage == 3:
        numels = [0] * len(numels)
        for place, flat in enumerate(engine.optimizer.fp32_partitioned_groups_flat):
            numels[engine.optimizer.sub_group_to_group_id[place]] += flat.numel()
    held = [
        {**{key: group[key] for key in KEYS}, "numel": numel}
        for group, numel in zip(engine.optimizer.param_groups, numels, strict=True)
    ]
    engine.destroy()
    return held


def plain_state(state: EngineState) -> list[dict[str, np.ndarray]]:
    """The weight and the moments of each parameter, for a queue; none on ranks that do not have them."""
    pairs = zip(state.params, state.moments, strict=True)
    return [{name: np.array(v) for name, v in {"weight": weight, **kept}.items()} for weight, kept in pairs]


def roles_of(training: TrainingSettings) -> set[tuple[float | str, ...]]:
    """Each role with what AdamW reads for it."""
    engine = build_engine(golden_trial("mup", training=training))
    found = {
        (role, *(group[key] for key in KEYS)) for group in engine.optimizer.param_groups for role in group["roles"]
    }
    engine.destroy()
    return found


def _resumed(rank: int, name: str, folder: Path) -> dict[str, Any]:
    """A run killed and continued on these ranks, and one that is continued from a checkpoint of one device."""
    trial, place = resumed_trial(name), folder / f"zero{name}"
    if rank == 0:
        place.mkdir()
    torch.distributed.barrier()
    whole = finished(trial, folder, None)
    killed(trial, place)
    if rank == 0:
        (place / "kept").mkdir()
        for path in filter(Path.is_file, list(place.iterdir())):  # for a run on another number of devices
            (place / "kept" / path.name).write_bytes(path.read_bytes())
    torch.distributed.barrier()
    continued = finished(trial, folder, place)
    return {"whole": whole, "continued": continued, "from_one": finished(trial, folder, folder / "one" / name)}


def _diverged(rank: int, name: str, folder: Path) -> str:
    """One rank's loss is planted to be nan at step 3."""
    trial = resumed_trial(name)
    loop = Loop(trial, tiny_corpus(folder, trial.shape), no_log)
    real = loop.engine.module.loss_of
    if rank == 1:
        loop.engine.module.loss_of = lambda *args: real(*args) * (float("nan") if loop.step == 3 else 1.0)
    try:
        loop.train_to(8 * BATCH, horizon=20 * BATCH)
    except Diverged as reason:
        return str(reason)
    finally:
        loop.engine.destroy()
    return "not diverged"


def _told_to_end(rank: int, folder: Path) -> list[int]:
    """Only rank 1 is told to end. The last steps, -1 for the end, and the steps of this rank's checkpoints."""
    trial, steps, saved = resumed_trial("1"), [], []
    stop, real, save = threading.Event(), Loop._step, run_module.save

    def step(self: Loop, lr: float, *, decaying: bool) -> None:
        real(self, lr, decaying=decaying)
        steps.append(self.step)
        if self.step == 5 and rank == 1:
            stop.set()

    def saving(path: Path, stored: Any, **how: Any) -> None:
        saved.append(stored.known.now.step)
        save(path, stored, **how)

    checkpoints.STOP = run_module.STOP = stop
    checkpoints.WORTH_SECONDS = 0.0
    Loop._step, run_module.save = step, saving  # type: ignore[method-assign]
    try:
        train(trial, tiny_corpus(folder, trial.shape), log=no_log, trunks=folder / "told")
    except SystemExit:
        steps.append(-1)
    finally:
        Loop._step, run_module.save = real, save  # type: ignore[method-assign]
    return [*steps[-2:], *saved]


def _of_equality(count: int, folder: Path, steps: int, which: Which) -> dict[str, Callable[[], Any]]:
    cases: dict[str, Callable[[], Any]] = {}
    of_spread = spread_settings(steps, count)
    for name, (training, micro) in (of_spread if which == "spread" else settings(steps, count)).items():
        trial = equality_trial(steps, training=training)
        cases[name] = lambda trial=trial, micro=micro: losses_and_norms(trial, folder, micro)
    for experts in sorted({2, count}):
        spread = TrainingSettings(devices=count, expert_parallel=experts)
        cases[f"gradients {experts}"] = lambda spread=spread: gradients(equality_trial(steps, training=spread), folder)
    return cases


def _rank(rank: int, count: int, folder: Path, steps: int, queue: "Queue[Any]", which: Which) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "OMP_NUM_THREADS": "1"}
    torch.set_num_threads(1)
    start_deepspeed(f"file://{folder / 'ranks'}")
    optimizer.UNSPLIT = 0  # ZeRO 3 splits even the smallest parameters
    cases = _of_equality(count, folder, steps, which)
    if which == "all":
        own = equality_trial(steps, aux_loss_sequences=2)
        for name, (training, micro) in latent_settings().items():
            latent = latent_trial(training=training)
            cases[name] = lambda trial=latent, micro=micro: losses_and_norms(trial, folder, micro)
        latent = latent_trial(training=TrainingSettings.model_validate(SPREAD))
        cases["latent gradients"] = lambda: gradients(latent, folder)
        cases["micro_batch"] = lambda: losses_and_norms(own, folder, 1)
        cases |= {f"groups {stage}": lambda stage=stage: _groups(stage) for stage in STAGES}
        cases |= {f"resumed {name}": lambda name=name: _resumed(rank, name, folder) for name in CONTINUED}
        cases |= {f"diverged {name}": lambda name=name: _diverged(rank, name, folder) for name in CONTINUED}
        cases |= {f"biases {stage}": lambda stage=stage: biases(balanced_trial(stage), folder, 1) for stage in (0, 3)}
        for stage in (0, 1):
            trial = averaged_trial(TrainingSettings.model_validate({**SPREAD, "zero_stage": stage}))
            cases[f"averaged {stage}"] = lambda trial=trial: plain_state(whole_after_move(trial, folder))
        cases["roles"] = lambda: roles_of(TrainingSettings.model_validate({**SPREAD, "zero_stage": 1}))
        cases["told"] = lambda: _told_to_end(rank, folder)
    try:
        queue.put((rank, {name: case() for name, case in cases.items()}))
    except BaseException:
        queue.put((rank, traceback.format_exc()))


def on_ranks(count: int, folder: Path, steps: int, which: Which = "all") -> list[dict[str, Any]]:
    """What every rank found, by case. A rank that fails ends the call."""
    context = multiprocessing.get_context("spawn")
    queue: Queue[Any] = context.Queue()
    ranks = [context.Process(target=_rank, args=(r, count, folder, steps, queue, which)) for r in range(count)]
    for process in ranks:
        process.start()
    try:
        found: dict[int, Any] = {}
        while len(found) < count:
            rank, result = queue.get(timeout=3000 if which == "equality" else 300)
            if isinstance(result, str):
                raise RuntimeError(f"rank {rank}: {result}")
            found[rank] = result
    finally:
        for process in ranks:
            process.join(5)
            process.kill()
    return [found[rank] for rank in range(count)]


def difference(found: list[float], plain: list[float]) -> float:
    """The largest relative difference of two series."""
    return max(abs(one - other) / abs(other) for one, other in zip(found, plain, strict=True))


def main(count: int, steps: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        plain, _ = losses_and_norms(equality_trial(steps), Path(folder))
        found, *_ = on_ranks(count, Path(folder), steps, "equality")
        for name, (losses, _) in ((name, found[name]) for name in settings(steps, count)):
            print(f"{count} ranks, {steps} steps, {name}: {difference(losses, plain):.1e}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
