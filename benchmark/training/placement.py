"""Plans on how many GPUs, and with which settings, a trial can be trained: what fits, and how long it takes."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from lrladder.benchmark.config.training import TrainingSettings
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.training.gpus import SUSTAINED, Gpu
from lrladder.benchmark.training.memory import (
    PROCESS_BYTES,
    Memory,
    device_memory,
    divisors,
    passes,
    share_of_batch,
)

PASSES = 4  # forward passes of a step that sustains SUSTAINED: forward, backward (2), and one again; assumption
SOURCE = (
    f"assumption: {SUSTAINED:.0%} of the peak in model FLOPs where one forward pass is computed again; 3/4 of that "
    "time without, 5/4 with two. Nothing was measured on several GPUs"
)


class Placement(NamedTuple):
    """One way to train a trial. `seconds` is the wall time of the whole trial."""

    training: TrainingSettings
    micro_batch: int
    memory: Memory
    seconds: float

    @property
    def needed_bytes(self) -> float:
        """Bytes that each device needs, with those of the process itself."""
        return self.memory.total + PROCESS_BYTES


def cheapest(trial: Trial, gpu: Gpu, num_gpus: int) -> Placement | None:
    """The fastest setting that fits, on as many of the GPUs as divide the batch; None if none fits.

    Among equally fast ones it is the one with the lowest ZeRO stage, which sends least, and then the least memory.
    """
    count = max(n for n in divisors(trial.batch_tokens // trial.shape.seq_len) if n <= num_gpus)
    found = [one for one in _placements(trial, gpu, count) if one.needed_bytes <= gpu.memory_bytes]
    return min(found, key=lambda one: (one.seconds, one.training.zero_stage, one.needed_bytes), default=None)


def fewest(trial: Trial, gpu: Gpu, num_gpus: int) -> int | None:
    """The smallest number of GPUs on which the trial fits in any way; None if it does not fit on `num_gpus`."""
    counts = (n for n in divisors(trial.batch_tokens // trial.shape.seq_len) if n <= num_gpus)
    fitting = (n for n in counts if any(one.needed_bytes <= gpu.memory_bytes for one in _placements(trial, gpu, n)))
    return next(fitting, None)


def _placements(trial: Trial, gpu: Gpu, count: int) -> Iterator[Placement]:
    """All settings on `count` GPUs, without offload, which is slower in a way that we have not measured.

    Experts are spread as in the settings of the trial, if that divides `count`. The time to send tokens is unknown.
    """
    asked = trial.training.expert_parallel
    spread = asked if count % asked == 0 else 1
    for stage in _stages(count, spread):
        for recompute in ("none", "blocks"):
            training = TrainingSettings(devices=count, zero_stage=stage, recompute=recompute, expert_parallel=spread)
            placed = trial.model_copy(update={"training": training})
            for micro_batch in divisors(share_of_batch(placed)):
                yield Placement(
                    training,
                    micro_batch,
                    device_memory(placed, micro_batch),
                    seconds(placed, micro_batch, SUSTAINED * gpu.flops_per_second),
                )


def _stages(count: int, spread: int) -> tuple[Literal[0, 1, 2, 3], ...]:
    """The stages on `count` GPUs with the experts spread over `spread` of them."""
    if count == 1:
        return (0,)
    return (0, 1, 2, 3) if spread == 1 else (0, 1, 2)


def seconds(trial: Trial, micro_batch: int, flops_per_second: float) -> float:
    """Wall time of a trial on its devices, each of which sustains `flops_per_second` in steps of PASSES."""
    return trial.flops * passes(trial, micro_batch) / PASSES / (flops_per_second * trial.training.devices)
