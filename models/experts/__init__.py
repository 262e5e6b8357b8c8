"""Expert backends: one interface, one state dict, several kernels."""

from collections.abc import Callable

from torch import Tensor

from models.experts.grouped import grouped_experts
from models.experts.megablocks import megablocks_experts
from models.experts.reference import reference_experts

# (x [rows, d] sorted by expert, rows per expert [E], up [E, 2h, d], down [E, d, h]) -> [rows, d]
ExpertBackend = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

BACKENDS: dict[str, ExpertBackend] = {
    "reference": reference_experts,
    "grouped": grouped_experts,
    "megablocks": megablocks_experts,
}
