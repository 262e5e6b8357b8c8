"""The GPUs that costs are given for: their memory, their peak of matrix products, and the share of it in training."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from lrladder.benchmark.config.text import suggest
from lrladder.benchmark.errors import InputError

GpuName = Literal["a100", "h100", "h200", "b200"]


class Gpu(NamedTuple):
    """One device: memory in bytes, and the peak of dense bf16 matrix products in FLOP/s."""

    memory_bytes: float
    flops_per_second: float


class Gpus(NamedTuple):
    """Several devices of one kind."""

    gpu: Gpu
    number: int


# Data sheets of NVIDIA, SXM boards. Their bf16 figures for H100, H200 and B200 are with sparsity, twice those here.
GPUS: Mapping[str, Gpu] = {  # by GpuName
    "a100": Gpu(80e9, 312e12),  # A100 Tensor Core GPU, 80 GB: 312 TFLOP/s
    "h100": Gpu(80e9, 989e12),  # H100 Tensor Core GPU: 1,979 TFLOP/s with sparsity
    "h200": Gpu(141e9, 989e12),  # H200 Tensor Core GPU: 1,979 TFLOP/s with sparsity
    "b200": Gpu(180e9, 2250e12),  # HGX B200, one of its 8 GPUs: 4.5 PFLOP/s with sparsity
}
SUSTAINED = 0.35  # share of the peak that training sustains, in model FLOPs; assumption, nothing was measured


def gpus_of(name: str, number: int) -> Gpus:
    """GPUs of a kind by its name. Raises InputError for an unknown kind."""
    if name not in GPUS:
        raise InputError(f"--gpu: {name!r} is unknown{suggest(name, list(GPUS))}")
    return Gpus(GPUS[name], number)
