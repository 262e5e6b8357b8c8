"""Every backend against the loop over experts: forward and backward, experts without tokens included."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from lrladder.models.experts import BACKENDS, gemm_of
from lrladder.models.experts.grouped import UsedExperts
from lrladder.models.experts.reference import swiglu
from lrladder.models.no_megablocks import PARTS, no_megablocks
from tests.models.expert_cases import BF16, CASES, Case, run
from tests.paths import ROOT


@pytest.mark.parametrize("name", list(CASES))
def test_the_oracle_is_each_tokens_own_experts(name: str) -> None:
    """Token by token, with nothing sorted."""
    case = CASES[name]
    x, expert_tk, weight_tk, up, down = case.tensors()
    rows = []
    for t, token in enumerate(x):
        chosen = zip(expert_tk[t], weight_tk[t], strict=True)
        rows.append(torch.stack([w * F.linear(swiglu(F.linear(token, up[e])), down[e]) for e, w in chosen]).sum(0))
    got = BACKENDS["reference"]()(x, expert_tk, weight_tk, up, down)
    torch.testing.assert_close(got, torch.stack(rows), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", list(CASES))
def test_grouped_equals_loop(name: str) -> None:
    for expected, got in zip(run("reference", CASES[name]), run("grouped", CASES[name]), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", ["reference", "grouped"])
@pytest.mark.parametrize("name", list(CASES))
def test_bf16_equals_the_loop_in_fp32_to_its_rounding(name: str, backend: str) -> None:
    for expected, got in zip(run("reference", CASES[name]), run(backend, CASES[name], torch.bfloat16), strict=True):
        assert float((got - expected).abs().max()) < BF16 * float(expected.abs().max().clamp_min(1))


def test_what_a_kernel_leaves_for_an_expert_without_tokens_is_no_gradient() -> None:
    """Whatever it is: numbers or none."""
    weight = torch.ones(3, 2, 2, requires_grad=True)
    left = torch.tensor([1.0, float("nan"), 7.0])[:, None, None].expand(3, 2, 2)
    UsedExperts.apply(weight, torch.tensor([5, 0, 0])).backward(left)
    assert weight.grad is not None
    assert weight.grad[0].eq(1).all() and weight.grad[1:].eq(0).all()


@pytest.mark.parametrize("backend", ["reference", "grouped"])
def test_expert_without_tokens_gets_a_zero_gradient(backend: str) -> None:
    *_, up_grad, down_grad = run(backend, Case(experts=((0,), (2,), (2,)), num_experts=3))
    assert up_grad[1].abs().max() == 0 and down_grad[1].abs().max() == 0


def _run_module(name: str, env: dict[str, str], given: object = None) -> Any:
    """What a module says in its last line, as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", name],
        env=env,
        cwd=ROOT,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_megablocks_own_kernels_equal_the_loop_and_compile_for_gpus(tmp_path: Path) -> None:
    """Its Triton kernels, forward and backward, interpreted on the CPU; torch stands in for its compiled counting.

    Each call, with its types, is then compiled to machine code of GPUs, which does not run here.
    """
    absent = [part for part in PARTS if part != "megablocks_ops" and importlib.util.find_spec(part) is None]
    if absent:
        pytest.skip(f"{', '.join(absent)} not installed here")
    env = os.environ | {"TRITON_INTERPRET": "1", "TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    found = _run_module("tests.models.interpreted_megablocks", env)
    assert found["gemm"] == "torch grouped_mm"
    for dtype, limit in (("torch.float32", 1e-5), ("torch.bfloat16", BF16)):
        assert set(found["misses"][dtype]) == set(CASES)
        for name, misses in found["misses"][dtype].items():
            assert len(misses) == 5 and max(misses) < limit, (dtype, name, misses)
    assert False not in found["agrees"].values()
    # one copies for gather and scatter, one makes the gradient of the weights
    assert {kernel for kernel, _ in found["calls"]} == {"_padded_copy", "_padded_copy_wgrad"}
    in_bf16 = [call for call in found["calls"] if "torch.bfloat16" in dict(call[1]).values()]
    compiled = _run_module("tests.models.compiled_megablocks", env | {"TRITON_INTERPRET": "0"}, in_bf16)
    assert len(compiled) == len(in_bf16) >= 5 and all(size > 0 for sizes in compiled for size in sizes)


def test_megablocks_says_why_it_cannot_run() -> None:
    reason = no_megablocks(has_gpu=torch.cuda.is_available())
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert reason is not None and "grouped" in reason and "\n" not in reason


def test_the_gemm_is_named() -> None:
    assert [gemm_of(backend) for backend in ("reference", "grouped")] == ["loop over experts", "torch grouped_mm"]
