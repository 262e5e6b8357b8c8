"""A sample of tests/faults/soak.py: each kind of fault once."""

import sys
from pathlib import Path

import pytest

from tests.faults.soak import KINDS, soak


@pytest.mark.skipif(sys.platform != "linux", reason="counts processes in /proc")
def test_no_trial_is_lost_or_trained_twice_whatever_its_worker_does(tmp_path: Path) -> None:
    found = soak(tmp_path, 5 * len(KINDS), every=5, workers=2)
    assert dict(found.faults) == dict.fromkeys(KINDS, 1)
    assert (found.lost, found.wrong, found.twice, found.processes_left) == (0, 0, 0, 0)
    assert found.retried == len(KINDS)
