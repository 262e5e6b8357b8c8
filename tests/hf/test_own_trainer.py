"""A study by `ask` and `tell` with transformers' Mixtral and torch's AdamW, which see the rows of jobs.csv alone.

Trainer and study are the text of docs/own-trainer.md.
"""

import csv
import io
import math
import re
from pathlib import Path
from typing import Any

import yaml

from lrladder import tell
from lrladder.benchmark.config.text import validate
from lrladder.benchmark.external import formats
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.regret.kind import REGRET
from lrladder.benchmark.studies.stored import load_results
from tests.benchmark.external.studies import begin
from tests.hf.peers import transformers
from tests.paths import ROOT

TRANSFORMERS = transformers()
DOC = (ROOT / "docs" / "own-trainer.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The only block of the document in a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", DOC, re.MULTILINE | re.DOTALL)
    return str(found)


def test_mixtral_and_adamw_train_a_study_from_the_rows_alone(tmp_path: Path) -> None:
    trainer: dict[str, Any] = {"__name__": "my_trainer"}
    exec(block("python"), trainer)
    config = validate(RegretConfig, yaml.safe_load(block("yaml")), source="docs/own-trainer.md")
    jobs, rounds = begin(tmp_path / "study", config), 0
    while jobs:
        rows = list(csv.DictReader(io.StringIO(formats.text(jobs, "csv"))))
        jobs = tell(
            tmp_path / "study", [{"name": row["name"], "loss": trainer["train"](row)} for row in rows]
        ).asked.jobs
        rounds += 1
    results = load_results(tmp_path / "study", REGRET)
    assert results.complete
    assert (results.lab, results.trials.failed) == ("external", 0)
    assert rounds >= 2
    losses = [m.loss for m in results.measurements if m.loss is not None]
    assert min(losses) < math.log(300)  # something was learnt
    (target,) = results.targets
    assert target.paradigms[0].regret is not None
