"""Expert backends: several kernels behind one interface, with the same weights."""

from lrladder.models.experts.grouped import grouped_experts
from lrladder.models.experts.megablocks import gemm_name, megablocks_experts
from lrladder.models.experts.permuted import ExpertBackend, permuted
from lrladder.models.experts.reference import reference_experts

# (x [T, d], experts [T, k], weights [T, k] fp32, up [E, 2h, d], down [E, d, h]) -> [T, d]
BACKENDS: dict[str, ExpertBackend] = {
    "reference": permuted(reference_experts),
    "grouped": permuted(grouped_experts),
    "megablocks": megablocks_experts,
}


def gemm_of(backend: str) -> str:
    """Name of the GEMM that a backend's experts run on. Measurements record it."""
    return {"reference": "loop over experts", "grouped": "torch grouped_mm"}.get(backend) or gemm_name()
