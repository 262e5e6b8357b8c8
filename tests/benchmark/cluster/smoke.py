"""Is the study `smoke` on a Ray cluster of two nodes that of this machine, to the last bit?

It takes minutes, so it is a program: python -m tests.benchmark.cluster.smoke DIR
"""

import sys
from pathlib import Path
from typing import Any

from lrladder.benchmark.studies.executors import on_executor
from lrladder.benchmark.studies.kinds import load_study
from lrladder.benchmark.studies.runner import Ended, run_study
from tests.benchmark.cluster.machines import two_machines

UNEQUAL = {"seconds", "setup_seconds"}  # between two runs on one machine too


def numbers(ended: Ended[Any]) -> list[dict[str, object]]:
    """All measurements of a study, in their order."""
    return [measurement.model_dump(exclude=UNEQUAL) for measurement in ended.results.measurements]


if __name__ == "__main__":
    folder, study = Path(sys.argv[1]), load_study("smoke")
    with two_machines() as cluster:
        on_ray = numbers(run_study(on_executor(study, "ray", address=cluster.address), folder / "ray"))
    here = numbers(run_study(study, folder / "local"))
    print(f"{len(here)} readings here, {len(on_ray)} on Ray, equal: {on_ray == here}")
    sys.exit(on_ray != here)
