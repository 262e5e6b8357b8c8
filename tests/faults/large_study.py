"""A study of many trials through the real executor and store. `python -m tests.faults.large_study FOLDER 1000`.

tests/faults/made_up.py stands in for training. What the coordinator cost is printed as JSON.
"""

import json
import resource
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

from lrladder.benchmark.config.text import parse_yaml, read_preset
from lrladder.benchmark.lab.workers import LocalExecutor
from lrladder.benchmark.studies import session
from lrladder.benchmark.studies.kinds import plan_of
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.runner import run_study
from lrladder.benchmark.training.local import LocalSite
from tests.benchmark.trials import tiny_corpus
from tests.faults import made_up

WORKERS = 8  # so many that on few cores the coordinator rarely waits for one


def study(num_seeds: int) -> RegretConfig:
    """Preset smoke with more LRs and seeds. Two thirds of its trials train proposals; most others are the oracle's."""
    data = parse_yaml(read_preset("smoke"), source="smoke")
    swept = list(range(max(2, num_seeds // 20)))
    more = {"seeds": list(range(num_seeds)), "oracle_seeds": swept, "oracle_factor": 1.25, "oracle_points": 12}
    return RegretConfig.model_validate({**data, "validation": {**data["validation"], **more}})


def study_of(num_trials: int) -> RegretConfig:
    """The smallest such study that plans so many trials."""
    low, high = 2, num_trials
    while low < high:
        middle = (low + high) // 2
        enough = plan_of(study(middle)).planned.runs >= num_trials
        low, high = (low, middle) if enough else (middle + 1, high)
    return study(low)


def make(folder: Path, num_trials: int) -> None:
    """Run such a study in a folder."""
    with ExitStack() as stack:
        corpus = tiny_corpus(folder.with_suffix(".corpus"), tokens=400_000)
        stack.enter_context(patch.object(session, "prepare", lambda *arguments, **options: corpus))
        stack.enter_context(patch.object(LocalSite, "executor", _executor))
        run_study(study_of(num_trials), folder, workers=WORKERS)


def _executor(site: LocalSite, setup: object, store: Any, say: Any) -> LocalExecutor:
    return LocalExecutor(store.folder, made_up.start, workers=site.machines.workers, say=say)


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"seconds": used.ru_utime + used.ru_stime, "megabytes": used.ru_maxrss / 1024}))
