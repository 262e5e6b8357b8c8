"""The time left: of what is still to be trained, not of what the store already had."""

import io
import itertools

import pytest
from rich.console import Console

from lrladder.benchmark.lab.progress import Progress
from tests.benchmark.lab.fake_runner import fake_measurements
from tests.benchmark.trials import tiny_trial

TRIALS = [tiny_trial(seed=seed) for seed in range(5)]
FLOPS = TRIALS[0].flops


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A clock that goes on by 20 s each time it is read."""
    clock = itertools.count(step=20)
    monkeypatch.setattr("lrladder.benchmark.lab.progress.time.monotonic", lambda: float(next(clock)))
    return io.StringIO()


def _done(progress: Progress, seed: int) -> None:
    progress.done(TRIALS[seed], "p sp", fake_measurements(TRIALS[seed]))


def test_stored_trials_take_no_time(output: io.StringIO) -> None:
    progress = Progress(Console(file=output), total_flops=4 * FLOPS)
    progress.skip(TRIALS[:2])
    progress.add(TRIALS[2:4])
    _done(progress, 2)
    assert "[1/2]" in output.getvalue()
    assert output.getvalue().rstrip().endswith("about 20 s left")


def test_a_trial_asked_for_again_is_counted_once(output: io.StringIO) -> None:
    progress = Progress(Console(file=output), total_flops=4 * FLOPS)
    progress.skip(TRIALS[:1])
    progress.add(TRIALS[1:2])
    progress.skip(TRIALS[:2])  # the second is in the store by now
    _done(progress, 1)
    assert output.getvalue().rstrip().endswith("about 40 s left")


def test_a_bracket_extended_past_the_plan_adds_to_it(output: io.StringIO) -> None:
    progress = Progress(Console(file=output), total_flops=4 * FLOPS)
    progress.skip(TRIALS[:2])
    progress.add(TRIALS[2:5])
    _done(progress, 2)
    assert output.getvalue().rstrip().endswith("about 40 s left")
