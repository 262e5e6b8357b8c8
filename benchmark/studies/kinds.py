"""Every kind of study: a benchmark of paradigms, a drift study (`kind: axes`), a study of schedules (`kind: power`)."""

import json
from pathlib import Path
from typing import Any, Literal

from lrladder.benchmark import upgrade
from lrladder.benchmark.config.text import parse_yaml, read_preset, validate
from lrladder.benchmark.studies.drift.config import AxesConfig
from lrladder.benchmark.studies.drift.results import SCHEMA as AXES_SCHEMA
from lrladder.benchmark.studies.regret.config import StudyConfig, benchmark_of
from lrladder.benchmark.studies.schedules.config import PowerStudyConfig
from lrladder.benchmark.studies.schedules.results import SCHEMA as POWER_SCHEMA

AnyStudy = StudyConfig | AxesConfig | PowerStudyConfig
Kind = Literal["benchmark", "axes", "power"]
SCHEMAS: dict[str, Kind] = {AXES_SCHEMA: "axes", POWER_SCHEMA: "power"}


def load_study(preset: str) -> AnyStudy:
    """A preset by name, or a YAML file by path. Raises InputError with one line that names the key."""
    return _study(parse_yaml(read_preset(preset), source=preset), source=preset)


def load_stored_study(folder: Path) -> AnyStudy:
    """The study whose results a folder holds, whatever version wrote them. Raises InputError as `load_study`."""
    source = str(folder / "config.yaml")
    return _study(upgrade.config(parse_yaml(read_preset(source), source=source)), source=source)


def _study(data: dict[str, Any], *, source: str) -> AnyStudy:
    match data.get("kind"):
        case "axes":
            return validate(AxesConfig, data, source=source)
        case "power":
            return validate(PowerStudyConfig, data, source=source)
        case _:
            return benchmark_of(data, source=source)


def schema_of(folder: Path) -> str | None:
    """What a folder's results.json is, once its older words are today's; None where there is none."""
    try:
        data = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return upgrade.schema(str(data.get("schema"))) if isinstance(data, dict) else None


def kind_of(folder: Path) -> Kind:
    """What a folder holds, by its results or, before there are any, its config."""
    schema = schema_of(folder)
    if schema is not None:
        return SCHEMAS.get(schema, "benchmark")
    try:
        kind = parse_yaml((folder / "config.yaml").read_text(encoding="utf-8"), source="config.yaml").get("kind")
    except (OSError, ValueError):
        return "benchmark"
    return next((known for known in SCHEMAS.values() if known == kind), "benchmark")
