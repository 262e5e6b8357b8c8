"""Every backend against the loop over experts: forward and backward, empty experts included."""

import pytest
import torch

from models.experts import BACKENDS
from models.experts.megablocks import unavailable_reason

D, H = 16, 8


def _run(backend: str, rows: list[int]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(sum(rows), D, generator=generator, requires_grad=True)
    up = torch.randn(len(rows), 2 * H, D, generator=generator, requires_grad=True)
    down = torch.randn(len(rows), D, H, generator=generator, requires_grad=True)
    y = BACKENDS[backend](x, torch.tensor(rows), up, down)
    weights = torch.randn(y.shape, generator=generator)
    (y * weights).sum().backward()
    return [y.detach(), *(tensor.grad for tensor in (x, up, down) if tensor.grad is not None)]


@pytest.mark.parametrize("rows", [[3, 5, 2, 6], [0, 7, 0, 9], [16, 0, 0, 0], [0, 0, 0, 1]])
def test_grouped_equals_loop(rows: list[int]) -> None:
    for expected, got in zip(_run("reference", rows), _run("grouped", rows), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_expert_without_rows_gets_a_zero_gradient() -> None:
    for backend in ("reference", "grouped"):
        *_, up_grad, down_grad = _run(backend, [4, 0, 3])
        assert up_grad[1].abs().max() == 0 and down_grad[1].abs().max() == 0


def test_megablocks_says_why_it_cannot_run() -> None:
    with pytest.raises(RuntimeError, match="grouped"):
        _run("megablocks", [1, 1])
    assert "\n" not in unavailable_reason()
