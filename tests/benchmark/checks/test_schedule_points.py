"""`lrladder schedule`: the published constants, phase borders among the points, and bad input."""

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrladder.benchmark.checks.schedule_points import PowerLaw, borders, draw, sparkline
from lrladder.benchmark.cli import main
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.schedules import Kind
from lrladder.paradigms.published import POWER_A, POWER_D, POWER_LR_MAX, POWER_SEQ_LEN

LAW = PowerLaw(POWER_A, POWER_D, POWER_LR_MAX)
BATCH = 1024 * POWER_SEQ_LEN


def test_the_published_run_of_1t_tokens() -> None:
    """Batch 1,024: on the cap to 26B tokens, 0.010055 at 1e11, then decay from eta_power(9e11) = 4096 (9e11)^-0.51."""
    found = draw(
        "power", tokens=10**12, batch_tokens=BATCH, law=LAW, points=5000, warmup_tokens=10**9, decay_fraction=0.1
    )
    by_tokens = dict(found.points)
    assert LAW.binds_until(BATCH) == pytest.approx(26e9, rel=0.02)
    assert all(lr == pytest.approx(0.02) for tokens, lr in found.points if 1e9 <= tokens < 25e9)
    near = min(by_tokens, key=lambda tokens: abs(tokens - 1e11))
    assert by_tokens[near] == pytest.approx(0.010055 * (near / 1e11) ** POWER_D, rel=1e-3)
    start = borders(found.schedule, found.tokens, BATCH)["decay begins"]
    assert by_tokens[start] == pytest.approx(4096 * 9e11**POWER_D, rel=1e-4)
    assert 0 < found.points[-1].lr < 1e-6


@settings(max_examples=50)
@given(
    kind=st.sampled_from(["constant", "linear", "cosine", "wsd"]),
    steps=st.integers(50, 5000),
    batch=st.integers(1, 4096),
    points=st.integers(2, 300),
)
def test_points_are_steps_with_every_border_among_them(kind: Kind, steps: int, batch: int, points: int) -> None:
    tokens = steps * batch
    found = draw(kind, tokens=tokens, batch_tokens=batch, lr=0.01, points=points, warmup_tokens=tokens // 10)
    places = [point.tokens for point in found.points]
    assert places == sorted(set(places))
    assert all(place % batch == 0 and place < tokens for place in places)
    assert set(borders(found.schedule, tokens, batch).values()) <= set(places)
    assert all(0 < point.lr <= 0.01 for point in found.points)
    assert len(sparkline(found)) == 64


def test_a_law_in_tokens_is_the_same_at_any_sequence_length() -> None:
    assert LAW.at(1e11, BATCH) == pytest.approx(4 / 4096 * BATCH * 1e11**-0.51)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": None}, "--lr: give the peak"),
        ({"batch_tokens": 0}, "--batch-tokens 0"),
        ({"batch_tokens": 2000}, "at most --tokens 1,000"),
        ({"warmup_tokens": 900}, "must end before the decay"),
        ({"decay_fraction": 0.005}, "--tokens: horizon 1000 decays over 0.005 of it, less than one batch of 10"),
        ({"decay": "exponential"}, "never reaches 0"),
        ({"decay_fraction": 1.5}, "--decay-fraction: "),
    ],
)
def test_what_cannot_be_drawn_is_one_clear_line(change: dict[str, object], message: str) -> None:
    given_: dict[str, object] = {"tokens": 1000, "batch_tokens": 10, "lr": 0.1, "warmup_tokens": 100} | change
    with pytest.raises(InputError, match=message):
        draw("wsd", **given_)  # type: ignore[arg-type]


def test_the_command_prints_points_and_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    svg = tmp_path / "power.svg"
    command = ["schedule", "power", "--tokens", "1e12", "--batch-tokens", "4194304", "--json", "--out", str(svg)]
    monkeypatch.setattr(sys, "argv", ["lrladder", *command])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "power" and found["exponent"] == POWER_D
    assert {"tokens", "lr"} == set(found["points"][0])
    assert svg.read_text().startswith("<svg")
