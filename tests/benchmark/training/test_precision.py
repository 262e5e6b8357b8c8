"""bf16, ZeRO and numbers read late: what is recorded is what plain fp32 steps record."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lrladder.benchmark.training.corpus import Corpus
from lrladder.benchmark.training.loop import Loop
from lrladder.benchmark.training.train import train
from lrladder.benchmark.training.watch import EVERY
from lrladder.models.rules import STANDARD
from tests.benchmark.trials import BATCH, CHANGES, no_log, outcome, tiny_corpus, tiny_trial

SAME_MODEL = {name: changes for name, changes in CHANGES.items() if "shape" not in changes}  # as the plain trial


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return tiny_corpus(tmp_path)


@pytest.mark.parametrize("lr", [0.01, 1e4])
def test_numbers_taken_in_late_are_the_same_numbers(lr: float, corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU's numbers are taken in at every probe: a divergence is seen later, at the step where it was."""
    trial = tiny_trial(lr=lr, rules=STANDARD)
    at_once = train(trial, corpus, log=no_log)
    real = Loop.__init__

    def patient(self: Loop, *args: Any, **kwargs: Any) -> None:
        real(self, *args, **kwargs)
        self.read_every = 16

    monkeypatch.setattr(Loop, "__init__", patient)
    late = train(trial, corpus, log=no_log)
    assert [outcome(m) for m in late] == [outcome(m) for m in at_once]


@pytest.mark.parametrize("changes", SAME_MODEL.values(), ids=SAME_MODEL)
def test_the_gradient_norm_is_known_whoever_holds_the_gradients(changes: dict[str, Any], corpus: Corpus) -> None:
    rows: list[dict[str, Any]] = []
    for trial in (tiny_trial(), tiny_trial().model_copy(update=changes)):
        train(trial, corpus, log=rows.append)
    first, other = (row["grad_norm"] for row in rows if row["step"] == 0)
    assert other == pytest.approx(first, rel=0.02)  # bf16 holds 8 bits


@pytest.mark.parametrize("name", ["zero1", "bf16"])
def test_updates_are_known_whatever_the_precision_and_whoever_holds_the_moments(name: str, corpus: Corpus) -> None:
    (first, *_), (other, *_) = (
        train(trial, corpus, log=no_log) for trial in (tiny_trial(), tiny_trial().model_copy(update=CHANGES[name]))
    )
    for metric in ("update_ratio/expert_up", "update_ratio_steady/expert_up", "weight_rms/attention"):
        assert other.metrics[metric] == pytest.approx(first.metrics[metric], rel=0.05)


class _HostReads(TorchDispatchMode):
    """Counts the numbers that Python asks a tensor for; each would wait until a GPU has done all that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.number += func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_steps_between_probes_wait_for_nothing(precision: str, corpus: Corpus) -> None:
    loop = Loop(tiny_trial(precision=precision), corpus, no_log)
    loop.read_every = EVERY  # as on a GPU
    loop._step(0.01, decaying=False)
    with _HostReads() as reads:
        for _ in range(EVERY - 1):
            loop._step(0.01, decaying=False)
    assert reads.number == 0
    loop._step(0.01, decaying=False)
    assert len(loop.losses) == EVERY + 1


def test_bf16_is_for_activations_and_products_alone(corpus: Corpus) -> None:
    loop = Loop(tiny_trial(precision="bf16"), corpus, no_log)
    loop.train_to(5 * BATCH, horizon=20 * BATCH)
    moments = [state["exp_avg"] for state in loop.engine.basic_optimizer.state.values()]
    assert {tensor.dtype for tensor in (*loop.engine.module.parameters(), *moments)} == {torch.float32}
    output = loop.engine.module(loop._batch()[:, :-1])
    assert (output.features.dtype, output.logits.dtype) == (torch.bfloat16, torch.bfloat16)
