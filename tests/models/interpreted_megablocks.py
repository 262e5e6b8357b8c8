"""Run MegaBlocks' Triton kernels in Triton's interpreter against the loop; a process of its own, TRITON_INTERPRET set.

Prints one JSON line: by dtype and case, the largest miss of output and gradients over their largest entry; the GEMM;
the kernels that ran, each with its arguments; by dtype, whether a model compiled around them has the written gradients.
"""

import json
import sys
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from lrladder.models.compiled import compile_blocks, compiler_missing
from lrladder.models.experts import gemm_of
from lrladder.models.parametrization import build
from lrladder.models.rules import MUTRANSFER
from tests.models.expert_cases import CASES, Case, run
from tests.models.shapes import moe_shape


def _sort(x: Tensor, end_bit: int, x_out: Tensor, iota_out: Tensor) -> None:
    assert int(x.max()) < 2**end_bit, "the sort looks at too few bits"
    values, places = x.sort(stable=True)
    x_out.copy_(values)
    iota_out.copy_(places)


def _histogram(x: Tensor, num_bins: int) -> Tensor:
    return torch.bincount(x, minlength=num_bins).to(torch.int32)


def _inclusive_cumsum(x: Tensor, dim: int, out: Tensor) -> None:
    out.copy_(x.cumsum(dim))


def _exclusive_cumsum(x: Tensor, dim: int, out: Tensor) -> None:
    out.copy_(x.cumsum(dim) - x)


def stand_in() -> ModuleType:
    """For the compiled `megablocks_ops`, which needs nvcc."""
    module: Any = ModuleType("megablocks_ops")
    module.sort, module.histogram = _sort, _histogram
    module.inclusive_cumsum, module.exclusive_cumsum = _inclusive_cumsum, _exclusive_cumsum
    return module


Call = tuple[str, tuple[tuple[str, object], ...]]  # a kernel, and the type or, if not a tensor, value of each argument


def note_kernels() -> dict[Call, None]:
    """Cut every autotuned kernel to one config, as tuning wants a driver; returns the kinds of calls, as they come."""
    from megablocks.backend import kernels

    calls: dict[Call, None] = {}
    for name, kernel in vars(kernels).items():
        if hasattr(kernel, "configs"):
            kernel.configs = kernel.configs[:1]
            _note(kernel, name, calls)
    return calls


def _note(kernel: Any, name: str, calls: dict[Call, None]) -> None:
    run_kernel = kernel.run

    def noted(*args: Any, **kwargs: Any) -> Any:
        named = dict(zip(kernel.arg_names, args, strict=False)) | kwargs
        of_kernel = {key: named[key] for key in kernel.arg_names if key in named}
        calls[name, tuple((key, _kind(value)) for key, value in of_kernel.items())] = None
        return run_kernel(*args, **kwargs)

    kernel.run = noted


def _kind(value: object) -> object:
    return str(value.dtype) if isinstance(value, Tensor) else value


def main() -> None:
    sys.modules["megablocks_ops"] = stand_in()
    sys.modules["grouped_gemm"] = None  # type: ignore[assignment]  # where it is installed: it needs a GPU
    gemm = gemm_of("megablocks")
    calls = note_kernels()
    misses = {
        str(dtype): {name: _misses(case, dtype) for name, case in CASES.items()}
        for dtype in (torch.float32, torch.bfloat16)
    }
    agrees = {str(dtype): _agrees(dtype) for dtype in (torch.float32, torch.bfloat16)}
    print(json.dumps({"gemm": gemm, "misses": misses, "calls": list(calls), "agrees": agrees}))


def _misses(case: Case, dtype: torch.dtype) -> list[float]:
    pairs = zip(run("megablocks", case, dtype), run("reference", case), strict=True)
    return [float((got - expected).abs().max() / expected.abs().max().clamp_min(1)) for got, expected in pairs]


def _agrees(dtype: torch.dtype) -> bool | None:
    """None where nothing can be compiled."""
    if compiler_missing() is not None:
        return None
    shape = moe_shape(depth=1, seq_len=8)
    built = build(MUTRANSFER, shape, shape, backend="megablocks", embedding_std=1.0, seed=0, dtype=dtype)
    return compile_blocks(built.model, batch=2) is not None


if __name__ == "__main__":
    main()
