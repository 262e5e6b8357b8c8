"""The schedule that is printed to paste is the one that training follows."""

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lrladder.benchmark.recommend.schedule_code import schedule_code
from lrladder.benchmark.schedules import Reference, ScheduleConfig, factor

BATCH = 64


@st.composite
def schedules(draw: st.DrawFn) -> ScheduleConfig:
    decay = draw(st.sampled_from(["linear", "sqrt", "exponential"]))
    return ScheduleConfig.model_validate(
        {
            "kind": draw(st.sampled_from(["constant", "linear", "cosine", "wsd", "power"])),
            "decay": decay,
            "decay_to": draw(st.sampled_from([0.01, 0.3] if decay == "exponential" else [0.0, 0.3])),
            "decay_fraction": draw(st.floats(0.05, 0.9)),
            "warmup_tokens": draw(st.integers(1, 20 * BATCH)),
            "exponent": draw(st.floats(-1, 0)),
        }
    )


@settings(max_examples=200)
@given(
    schedule=schedules(), steps=st.integers(2, 60), at=st.builds(Reference, st.integers(1, 512), st.integers(1, 9999))
)
def test_each_step_has_the_factor_of_training(schedule: ScheduleConfig, steps: int, at: Reference) -> None:
    horizon = steps * BATCH
    try:
        schedule.require_decay(horizon, BATCH, where="")
    except ValueError:
        assume(False)
    scope: dict[str, object] = {"math": math}
    exec(schedule_code(schedule, tokens=horizon, batch_tokens=BATCH, at=at), scope)
    pasted = [scope["factor"](step) for step in range(steps)]  # type: ignore[operator]
    trained = [factor(schedule, step * BATCH, batch_tokens=BATCH, horizon=horizon, at=at) for step in range(steps)]
    assert pasted == pytest.approx(trained, rel=1e-12, abs=1e-15)


def test_a_scheduler_of_torch_runs_on_it() -> None:
    schedule, at = ScheduleConfig(kind="wsd", warmup_tokens=4 * BATCH), Reference(BATCH, 20 * BATCH)
    scope: dict[str, object] = {"math": math}
    exec(schedule_code(schedule, tokens=20 * BATCH, batch_tokens=BATCH, at=at), scope)
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, scope["factor"])  # type: ignore[arg-type]
    for step in range(20):
        expected = factor(schedule, step * BATCH, batch_tokens=BATCH, horizon=20 * BATCH, at=at)
        assert scheduler.get_last_lr() == [pytest.approx(2 * expected)]
        optimizer.step()
        scheduler.step()
