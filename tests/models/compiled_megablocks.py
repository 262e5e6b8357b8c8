"""Compile MegaBlocks' Triton kernels for GPUs that need not be there; a process of its own, without the interpreter.

Reads calls as `interpreted_megablocks` prints them; prints the bytes of machine code of each, by GPU and tuning config.
"""

import json
import sys
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from tests.models.interpreted_megablocks import stand_in

GPUS = (80, 90)  # compute capability: A100 and H100
POINTERS = {"torch.float32": "*fp32", "torch.bfloat16": "*bf16", "torch.int32": "*i32"}


def sizes(kernel: Any, arguments: dict[str, object]) -> list[int]:
    found = []
    for gpu in GPUS:
        for config in kernel.configs:
            values = arguments | config.kwargs
            types = {name: POINTERS.get(str(value), "constexpr") for name, value in values.items()}
            constants = {name: value for name, value in values.items() if types[name] == "constexpr"}
            source = ASTSource(kernel.fn, types, constants)
            built = triton.compile(source, target=GPUTarget("cuda", gpu, 32), options={"num_warps": config.num_warps})
            found.append(len(built.asm["cubin"]))
    return found


def main() -> None:
    sys.modules["megablocks_ops"] = stand_in()
    from megablocks.backend import kernels

    print(json.dumps([sizes(getattr(kernels, name), dict(arguments)) for name, arguments in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
