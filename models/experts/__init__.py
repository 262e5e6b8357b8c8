"""Expert backends: several kernels behind one interface, with the same weights."""

from collections.abc import Callable

from lrladder.models.experts.grouped import grouped_experts
from lrladder.models.experts.permuted import ExpertBackend, permuted
from lrladder.models.experts.reference import reference_experts


def _megablocks() -> ExpertBackend:
    from lrladder.models.experts.megablocks import megablocks_experts  # this imports torch's compiler, which takes 2 s

    return megablocks_experts


# each returns (x [T, d], experts [T, k], weights [T, k] fp32, up [E, 2h, d], down [E, d, h]) -> [T, d]
BACKENDS: dict[str, Callable[[], ExpertBackend]] = {
    "reference": lambda: permuted(reference_experts),
    "grouped": lambda: permuted(grouped_experts),
    "megablocks": _megablocks,
}


def gemm_of(backend: str) -> str:
    """Name of the GEMM that a backend's experts run on. Measurements record it."""
    if backend == "megablocks":
        from lrladder.models.experts.megablocks import gemm_name

        return gemm_name()
    return {"reference": "loop over experts", "grouped": "torch grouped_mm"}[backend]
