"""Reads the folder of a study: its kind, its results, and what a killed run left in its store."""

import json
from pathlib import Path
from typing import Any, TypeVar

from lrladder.benchmark import upgrade
from lrladder.benchmark.config.text import parse_yaml
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.lab.trained import labels_of
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.benchmark.studies.kind import StudyKind
from lrladder.benchmark.studies.kinds import KINDS, AnyKind, load_stored_study
from lrladder.benchmark.studies.regret.kind import REGRET
from lrladder.benchmark.studies.results import Found, StudyResults
from lrladder.paradigms.lab import Measurement

Results = TypeVar("Results", bound=StudyResults)


def schema_of(folder: Path) -> str | None:
    """The current schema of a folder's results.json, after conversion from an older one; None if there is none."""
    try:
        data = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return upgrade.schema(str(data.get("schema"))) if isinstance(data, dict) else None


def stored_kind(folder: Path) -> AnyKind:
    """The kind of the study in a folder, from its results, else from its config, else a regret study."""
    schema = schema_of(folder)
    if schema is not None:
        return next((kind for kind in KINDS.values() if kind.schema == schema), REGRET)
    try:
        named = parse_yaml((folder / "config.yaml").read_text(encoding="utf-8"), source="config.yaml").get("kind")
    except (OSError, ValueError):
        return REGRET
    return next((kind for name, kind in KINDS.items() if name == named), REGRET)


def load_results(folder: Path, kind: StudyKind[Any, Results]) -> Results:
    """The results of a study, from results.json or else from its store. Raises InputError if there is neither."""
    path = folder / "results.json"
    if not path.exists() and (folder / "store.sqlite").exists():
        config = load_stored_study(folder)
        return kind.assemble(config, Found(_measured(folder, config, kind)))
    try:
        return kind.results_model.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; run `lrladder run PRESET --out {folder}` first") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read; run `lrladder run` again to write it from the store") from error


def _measured(folder: Path, config: StudyConfig, kind: AnyKind) -> list[Measurement]:
    """All measurements in the store of a folder, with the labels of the study."""
    return [
        measurement.labelled(label)
        for trial, measurements in Store.reopen(folder).all()
        for label in labels_of(trial, config, kind.parametrizations(config))
        for measurement in measurements
    ]
