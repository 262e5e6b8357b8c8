"""Reads the folder of a study: its kind, its results, and what a killed run left in its store."""

from pathlib import Path
from typing import Any, TypeVar

from lrladder.benchmark import upgrade
from lrladder.benchmark.config.text import parse_yaml
from lrladder.benchmark.documents import written_schema
from lrladder.benchmark.lab.labels import labels_of
from lrladder.benchmark.lab.loggers.places import read_places
from lrladder.benchmark.lab.stored_trials import read_trials
from lrladder.benchmark.reading import CONFIG_BYTES, read_text
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.benchmark.studies.kind import StudyKind
from lrladder.benchmark.studies.kinds import KINDS, AnyKind, load_stored_study
from lrladder.benchmark.studies.layout import read_results
from lrladder.benchmark.studies.regret.kind import REGRET
from lrladder.benchmark.studies.results import Found, StudyResults, in_order
from lrladder.benchmark.studies.written import absent, unreadable
from lrladder.paradigms.lab import Measurement

Results = TypeVar("Results", bound=StudyResults)


def schema_of(folder: Path) -> str | None:
    """The current schema of a folder's results.json, after conversion from an older one; None if there is none."""
    schema = written_schema(folder / "results.json")
    return None if schema is None else upgrade.schema(schema)


def stored_kind(folder: Path) -> AnyKind:
    """The kind of the study in a folder, from its results, else from its config, else a regret study."""
    schema = schema_of(folder)
    if schema is not None:
        return next((kind for kind in KINDS.values() if kind.schema == schema), REGRET)
    try:
        named = parse_yaml(read_text(folder / "config.yaml", CONFIG_BYTES), source="config.yaml").get("kind")
    except (OSError, ValueError):
        return REGRET
    return next((kind for name, kind in KINDS.items() if name == named), REGRET)


def load_results(folder: Path, kind: StudyKind[Any, Results]) -> Results:
    """The results of a study, from results.json or else from its store and logs. Raises InputError without any."""
    path = folder / "results.json"
    if not path.exists() and any((folder / name).exists() for name in ("store.sqlite", "trials")):
        config = load_stored_study(folder)
        return kind.assemble(config, Found(_measured(folder, config, kind), logged=read_places(folder)))
    try:
        return read_results(path, kind.results_model)
    except FileNotFoundError as error:
        raise absent(folder) from error
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error


def _measured(folder: Path, config: StudyConfig, kind: AnyKind) -> list[Measurement]:
    """All measurements in the logs and the store of a folder, with the labels of the study.

    At the base, trials of several parametrizations train the same model. Each label gets such a run once.
    """
    found = (
        measurement.labelled(label)
        for trial, measurements in read_trials(folder)
        for label in labels_of(trial, config, kind.names_of(config, trial))
        for measurement in measurements
    )
    distinct = {(m.rung, m.parametrization, m.horizon, m.lr, m.seed, m.role_lrs, m.loss): m for m in found}
    return in_order(distinct.values())
