"""Extends a study to a longer horizon: the runs of its targets continue from their stored trunks."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from lrladder.benchmark.config.text import validate
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import write_bytes
from lrladder.benchmark.lab.older import refuse_older
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.studies.kinds import load_stored_study
from lrladder.benchmark.studies.regret.config import RegretConfig


class Extension(NamedTuple):
    """The longer study, and the `change` that assigns the folder to it; None if the folder is already assigned."""

    config: RegretConfig
    change: Callable[[], None] | None


def extend(folder: Path, tokens: int) -> Extension:
    """The study in `folder`, with its targets also evaluated at `tokens`. Raises InputError.

    All measurements stay. `change` keeps copies of the old results.json and config.yaml.
    """
    refuse_older(folder)
    config = load_stored_study(folder)
    if not isinstance(config, RegretConfig) or config.simulated is not None:
        raise InputError(f"{folder}: only a benchmark that was trained can be continued; give the folder of one")
    if not config.rungs.targets:
        raise InputError(f"{folder}: the study has goals alone, so it has no target run to continue")
    longer = continued(config, tokens)
    change = partial(_supersede, folder, config.digest, longer.digest) if longer != config else None
    return Extension(longer, change)


def continued(config: RegretConfig, tokens: int) -> RegretConfig:
    """The config with `tokens` as a continued horizon of all targets. Raises InputError if that is not valid."""
    data = config.model_dump(mode="json")
    for rung in data["ladder"]["rungs"]:
        if rung["part"] == "target" and tokens not in rung["continued"]:
            rung["continued"] = [*rung["continued"], tokens]
    return validate(RegretConfig, data, source=f"--tokens {tokens}")


def _supersede(folder: Path, digest: str, longer: str) -> None:
    """Keep copies of the old files, named after the digest of their config. Assign the store to the new config."""
    for name in ("config.yaml", "results.json"):
        if (folder / name).exists():
            stem, suffix = name.split(".")
            write_bytes(folder / f"{stem}-{digest}.{suffix}", (folder / name).read_bytes())
    Store.reopen(folder).retarget(longer)
