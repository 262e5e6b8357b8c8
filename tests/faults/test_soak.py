"""A sample of tests/faults/soak.py: each kind of fault once."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.faulty_runner import KINDS
from tests.faults.soak import soak


@pytest.mark.skipif(sys.platform != "linux", reason="counts processes in /proc")
def test_no_trial_is_lost_or_trained_twice_whatever_its_worker_does(tmp_path: Path) -> None:
    found = soak(tmp_path, 5 * len(KINDS), every=5, workers=2)
    assert dict(found.faults) == dict.fromkeys(KINDS, 1)
    assert (found.lost, found.wrong, found.twice, found.processes_left) == (0, 0, 0, 0)
    assert found.retried == len(KINDS)


@pytest.mark.skipif(sys.platform != "linux", reason="counts processes in /proc")
def test_the_command_of_the_soak_runs() -> None:
    """Workers import the runner by its name, which a function of the main program does not have."""
    command = [sys.executable, "-m", "tests.faults.soak", "3"]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    assert {"trials: 3", "lost: 0", "processes_left: 0"} <= set(said.splitlines())
