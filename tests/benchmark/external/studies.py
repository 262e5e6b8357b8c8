"""A small study whose runs are trained elsewhere, and a law in the place of that trainer."""

import math
from pathlib import Path
from typing import Any

import yaml

from lrladder.benchmark.config.text import read_preset, validate
from lrladder.benchmark.external.jobs import Job
from lrladder.benchmark.external.verbs import Asked
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.runner import run_study

SEARCH = {"lr_guess": 0.03, "points": 3, "factor": 3, "max_extensions": 1}
TRANSFER = {"paradigm": "mutransfer", "parametrization": "mup", **SEARCH}
ENTRIES = {
    "fitting": {"paradigm": "fitting", "parametrization": "sp", **SEARCH},
    "mutransfer": TRANSFER,
    "mutransfer+power": {**TRANSFER, "schedule": "power", "search_schedule": "default"},
}
DATA = "our corpus v3"
DIVERGES_ABOVE = 0.08


def config_of(*entries: str, **changes: Any) -> RegretConfig:
    """The ladder of the preset `smoke` with some of the entries, all without any."""
    data = yaml.safe_load(read_preset("smoke"))
    data |= {"lab": {"kind": "external", "data": DATA}, "entries": {name: ENTRIES[name] for name in entries or ENTRIES}}
    return validate(RegretConfig, {**data, **changes}, source="test")


def law(n_active: int, lr: float, tokens: int, seed: int) -> float | None:
    """Nats; None where the run diverges."""
    if lr > DIVERGES_ABOVE:
        return None
    best = 0.02 * (n_active / 5000) ** -0.2
    return 3 + 0.1 * math.log(lr / best) ** 2 + 1e4 / tokens + 0.01 * math.sin(1e3 * lr + seed)


def row_of(job: Job) -> dict[str, object]:
    """What a trainer tells of a job."""
    loss = law(job.shape.n_active, job.recipe.lr, job.tokens, job.seed)
    return {"name": job.name, "loss": "nan" if loss is None else loss}


def begin(folder: Path, config: RegretConfig) -> tuple[Job, ...]:
    """What `lrladder run` wants of a new study."""
    return Asked.of(run_study(config, folder)).jobs
