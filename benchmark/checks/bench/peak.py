"""The peak of matrix products (GEMM) of this machine, measured on the products that a training step computes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

REPEATS = 5  # times that each product is computed in a turn; the fastest counts
SQUARE = {"cpu": 1024, "cuda": 8192}  # a large square product is timed too, which any library has been tuned for
_PRODUCTS = ("mm", "addmm", "bmm", "baddbmm")


@dataclass(frozen=True)
class Product:
    """One product with its operands, and how often a step computes it."""

    compute: Callable[[], object]
    flops: int
    count: int


class _Seen(TorchDispatchMode):
    """Keeps one call of each product that is computed while it is active, and counts the calls."""

    def __init__(self) -> None:
        super().__init__()
        self.products: dict[object, Product] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        flops = _flops(func.overloadpacket, args, out)
        if flops:
            key = func, tuple((a.shape, a.stride(), a.dtype) for a in args if isinstance(a, torch.Tensor))
            count = self.products[key].count if key in self.products else 0
            self.products[key] = Product(lambda: func(*args, **kwargs), flops, count + 1)
        return out


def _flops(operator: Any, args: Any, out: torch.Tensor) -> int:
    """FLOPs of a product; 0 for every other operator. torch does not count those of grouped products."""
    name = str(operator).removeprefix("aten.")
    if name == "_grouped_mm":  # [T, K] x [E, K, N], or [M, T] x [T, N] with the T rows split over E groups
        a, b = args[0], args[1]
        return 2 * a.shape[0] * a.shape[1] * b.shape[-1]
    return int(flop_registry[operator](*args, out_val=out)) if name in _PRODUCTS else 0


class Peak:
    """Times the products of a training step. `rates` has the best FLOP/s of each turn."""

    def __init__(self, step: Callable[[], object], device: torch.device, dtype: torch.dtype) -> None:
        with _Seen() as seen:
            step()
        a, b = (torch.randn(SQUARE[device.type], SQUARE[device.type], device=device, dtype=dtype) for _ in range(2))
        square = Product(lambda: torch.mm(a, b), 2 * SQUARE[device.type] ** 3, 0)
        self._device, self.products = device, [*seen.products.values(), square]
        self._best = [float("inf")] * len(self.products)
        self.rates: list[float] = []

    def turn(self) -> None:
        """Time every product once more."""
        with torch.no_grad():
            found = [min(seconds(p.compute, self._device) for _ in range(REPEATS)) for p in self.products]
        self._best = [min(pair) for pair in zip(self._best, found, strict=True)]
        self.rates.append(max(product.flops / s for product, s in zip(self.products, found, strict=True)))

    @property
    def products_seconds(self) -> float:
        """Seconds that the products of one step take if each is as fast as it was at best."""
        return sum(product.count * s for product, s in zip(self.products, self._best, strict=True))


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Seconds that `work` takes, with what it starts on a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start
