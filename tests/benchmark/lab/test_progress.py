"""What is printed when a run has ended: what it gave and the time left."""

import io

from rich.console import Console

from lrladder.benchmark.lab.progress import Progress
from lrladder.benchmark.lab.time_left import Foreseen, Work
from tests.benchmark.lab.fake_runner import fake_measurements
from tests.benchmark.trials import tiny_trial

TRIALS = [tiny_trial(seed=seed) for seed in range(5)]
ONE = Foreseen.of(TRIALS[0])
STAGE = ("fitting", "sp")


def test_a_finished_run_is_told_with_the_time_left() -> None:
    output = io.StringIO()
    progress = Progress(Console(file=output), planned=[Work(STAGE, ONE.width, 4 * ONE.seconds)])
    progress.skip([(STAGE, TRIALS[0])])
    progress.add([(STAGE, trial) for trial in TRIALS[1:3]])
    timed = {"seconds": 27.0, "setup_seconds": 15.0, "trained_tokens": TRIALS[1].tokens}
    found = [m.model_copy(update=timed) for m in fake_measurements(TRIALS[1])]
    progress.done(TRIALS[1], "p sp", found)
    assert "[1/2] p sp lr=0.01 seed=1: 640 tokens loss" in output.getvalue()
    assert output.getvalue().rstrip().endswith("(27 s), about 24 s left")  # two more of 12 s; one of four was stored


def test_a_failed_run_says_nothing_of_the_pace() -> None:
    output = io.StringIO()
    progress = Progress(Console(file=output), planned=[Work(STAGE, ONE.width, 2 * ONE.seconds)])
    progress.add([(STAGE, trial) for trial in TRIALS[:2]])
    failed = [m.model_copy(update={"verdict": "failed", "message": "m"}) for m in fake_measurements(TRIALS[0])]
    progress.done(TRIALS[0], "p sp", failed)
    assert output.getvalue().rstrip().endswith("FAILED: m (0 s)")
