"""The planned peak memory of one trial on each of its devices, by part."""

from typing import NamedTuple

from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.training.compiling import expected
from lrladder.models.shape import ModelShape

# Elements per token that the backward pass of a block keeps: multiples of width, and, for each chosen expert, of width
# and of expert_width; then bytes per token and vocabulary entry for logits and loss. They are counted in the code of
# models/ and were checked against the growth of a process (docs/performance.md). Compiled regions keep less.
WRITTEN, COMPILED = (17, 3.0, 4, 12), (11, 2.5, 4, 6)
OF_ATTENTION = 9  # of the multiples of width, those that attention keeps; as torch 2.13 saves them, uncompiled
PROCESS_BYTES = 2 * 2**30  # assumption: GPU memory of a process besides its tensors: CUDA, libraries, fragmentation
BUCKET = 50_000_000  # most values that ZeRO sums over the ranks at a time; DeepSpeed's default is ten times as much
GATHERED = 1_000_000_000  # values that ZeRO 3 holds gathered at a time, DeepSpeed's default
SOURCE = (
    "36 bytes per parameter, with all experts and embeddings: weight, gradient, two AdamW moments, two copies of the "
    "weight for metrics (at the start and before the observed step), and in a decay the trunk's weight and moments. In "
    "bf16 the rounded weight takes 2 bytes more. Activations of the whole batch take 4 bytes each in fp32 and 2 in "
    "bf16 (4 for the router's input). Logits and their loss are counted too. docs/performance.md compares the plan "
    "with measurements, none of them on a GPU. docs/devices.md says what several devices, micro batches and spread "
    "experts change"
)


class Memory(NamedTuple):
    """Peak bytes on one device, by part."""

    weights: float  # with the copies that ZeRO makes of them
    gradients: float
    moments: float
    observed: float  # copies that the watch makes, and the trunk that is kept during a decay
    buffers: float  # of ZeRO: buckets for sums over ranks, and the values that stage 3 has gathered
    activations: float

    @property
    def total(self) -> float:
        """Bytes of all parts."""
        return sum(self)


def device_memory(trial: Trial, micro_batch: int, *, compiled: bool | None = None) -> Memory:
    """Peak memory on each device with `micro_batch` sequences in a pass. SOURCE says what is counted.

    If `compiled` is None, the trial is taken to be compiled if a worker would compile it.
    """
    shape, training = trial.shape, trial.training
    stage, size = training.zero_stage, float(shape.n_total + shape.n_embedding)
    part = size / training.devices
    size -= shape.n_experts * (1 - 1 / training.expert_parallel)  # what a device has of the model without ZeRO
    on_device = 0.0 if training.offload == "cpu" else 1.0
    copies = 0.0 if trial.precision == "fp32" else 2 * (size if training.recompute == "none" else size / shape.depth)
    updated = (0.0, part, part, part)[stage] * on_device  # flat fp32 parts beside the weights
    moments = 8 * (part * on_device if stage else size)
    held = part if stage == 3 else size
    aliased = stage == 3 and training.offload == "none"  # stage 3 updates its parts of the weights in place
    averaged = 8 * size if trial.schedule.read == "ema" else 0.0  # the average of the weights, and a copy of it
    return Memory(
        weights=4 * held + (0.0 if aliased else 4 * updated) + copies,
        gradients=4 * (part if stage >= 2 else size),
        moments=moments,
        observed=(0.0 if stage == 3 else 8 * size) + 4 * (held + updated) + moments + averaged,
        buffers=_buffers(stage, size, size / shape.depth),
        activations=_activations(trial, micro_batch, expected(trial) if compiled is None else compiled),
    )


def _buffers(stage: int, size: float, block: float) -> float:
    """Bytes of a bucket; at stage 3 also of the gathered values, and of a block's weights and gradients in transit."""
    gathered = 4.0 * min(GATHERED, size) + 8.0 * block
    return (4.0 * min(BUCKET, size) if stage else 0.0) + (gathered if stage == 3 else 0.0)


def device_bytes(trial: Trial, micro_batch: int) -> float:
    """Peak memory in bytes of each device with `micro_batch` sequences in a pass."""
    return device_memory(trial, micro_batch).total


def memory_bytes(trial: Trial, *, compiled: bool | None = None) -> float:
    """Peak memory in bytes of each device with the given micro batch, or with its whole share of the batch at once."""
    return device_memory(trial, micro_batch_of(trial, None), compiled=compiled).total


def _activations(trial: Trial, micro_batch: int, compiled: bool) -> float:
    shape = trial.shape
    width, row, expert, logits = COMPILED if compiled else WRITTEN
    block = width * shape.width + shape.top_k * (row * shape.width + expert * shape.expert_width)
    block += 4 * shape.shared_width + 2 * shape.num_experts + more_of_latents(shape)
    dense = width * shape.width + 4 * (shape.dense_width or 0) + more_of_latents(shape)
    element = 2 if trial.precision == "bf16" else 4
    of_router = 4 * shape.width if trial.precision == "bf16" else 0
    blocks = shape.num_dense * element * dense + (shape.depth - shape.num_dense) * (element * block + of_router)
    if trial.training.recompute == "blocks":  # the inputs of all blocks, and the inside of one
        inside = element * max(block, dense if shape.num_dense else 0) + of_router
        blocks = shape.depth * element * shape.width + inside
    return micro_batch * shape.seq_len * (blocks + logits * shape.vocab_size)


def more_of_latents(shape: ModelShape) -> float:
    """Elements per token that latent attention keeps for the backward pass, beyond what our own attention does.

    They are the queries, keys, values and their mixture, which are filled up to one size of head; the mixture without
    what filled it up; and each latent three times, before, in and after its norm.
    """
    if shape.kv_rank is None or shape.value_size is None:
        return 0.0
    heads, rope = shape.num_heads, shape.rotary_size
    one = heads * max(shape.head_size, shape.value_size)
    # without filling up, values are kept within what kv_b computes
    values = one if shape.head_size != shape.value_size else heads * (shape.head_size - rope + shape.value_size)
    latents = 3 * (shape.kv_rank + (shape.q_rank or 0)) + rope
    return 3 * one + values + shape.value_width + latents - OF_ATTENTION * shape.width


def share_of_batch(trial: Trial) -> int:
    """Sequences of a batch that one device trains on."""
    return trial.batch_tokens // trial.shape.seq_len // trial.training.devices


def micro_batch_of(trial: Trial, room_bytes: float | None) -> int:
    """Sequences that a device takes at a time: as the settings say, or for `auto` as many as its memory has room for.

    If `room_bytes` is None, as on a CPU, `auto` is the whole share. If not even one has room, it is 1.
    """
    given, share = trial.training.micro_batch, share_of_batch(trial)
    if given != "auto":
        return given
    if room_bytes is None:
        return share
    fitting = (n for n in divisors(share) if device_bytes(trial, n) + PROCESS_BYTES <= room_bytes)
    return max(fitting, default=1)


def halved(trial: Trial, *, room_bytes: float | None) -> Trial | None:
    """The trial with half the micro batch that it would have, or less, for a device that proved to be too small.

    None if that would change its numbers, or if it is one sequence already.
    """
    half = micro_batch_of(trial, room_bytes) // 2
    if not half or trial.aux_loss_sequences is not None:
        return None
    micro_batch = max(n for n in divisors(share_of_batch(trial)) if n <= half)
    return trial.model_copy(update={"training": trial.training.model_copy(update={"micro_batch": micro_batch})})


def divisors(number: int) -> list[int]:
    """All divisors of a number, in ascending order."""
    return [n for n in range(1, number + 1) if number % n == 0]


def passes(trial: Trial, micro_batch: int) -> int:
    """The work of a step, in forward passes: 1 for the forward, 2 for the backward, and 1 if blocks are recomputed.

    With several micro batches there is one more, which counts the expert loads of the whole batch.
    """
    counted = micro_batch < share_of_batch(trial) and trial.aux_loss_sequences is None and trial.shape.num_experts > 1
    return 3 + (trial.training.recompute == "blocks") + counted
