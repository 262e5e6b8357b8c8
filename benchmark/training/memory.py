"""The planned peak memory of one trial."""

from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.training.compiling import expected

# Elements per token that the backward pass of a block keeps: multiples of width, and, for each chosen expert, of width
# and of expert_width; then bytes per token and vocabulary entry for logits and loss. They are counted in the code of
# models/ and were checked against the growth of a process (docs/performance.md). Compiled regions keep less.
WRITTEN, COMPILED = (17, 3.0, 4, 12), (11, 2.5, 4, 6)
SOURCE = (
    "36 bytes per parameter, with all experts and embeddings: weight, gradient, two AdamW moments, two copies of the "
    "weight for metrics (at the start and before a step), and the trunk's copy of weight and moments. In bf16 there "
    "are 2 bytes more, for the rounded weight. Activations of the whole batch are kept, at 4 bytes in fp32 and 2 in "
    "bf16 (4 for the router's input). Logits and their loss are counted too. docs/performance.md compares this with "
    "the growth of a process in fp32 and with the live tensors in bf16; it was not measured on a GPU"
)


def memory_bytes(trial: Trial, *, compiled: bool | None = None) -> float:
    """Peak memory in bytes; SOURCE says what is counted. `compiled` None: as a worker would decide."""
    shape = trial.shape
    width, row, expert, logits = COMPILED if (expected(trial) if compiled is None else compiled) else WRITTEN
    block = width * shape.width + shape.top_k * (row * shape.width + expert * shape.expert_width)
    block += 4 * shape.shared_width + 2 * shape.num_experts
    element, parameter = (2, 38.0) if trial.precision == "bf16" else (4, 36.0)
    if trial.schedule.read == "ema":
        parameter += 8  # the average of the weights, and the snapshot of it
    router_input = 4 * shape.width if trial.precision == "bf16" else 0
    per_block = element * block + router_input
    activations = trial.batch_tokens * (shape.depth * per_block + logits * shape.vocab_size)
    return parameter * (shape.n_total + shape.n_embedding) + activations
