"""Either kind of study: a benchmark of paradigms, or, with `kind: axes`, a drift study."""

import json
from pathlib import Path

from benchmark.axes.config import AxesConfig
from benchmark.axes.results import SCHEMA as AXES_SCHEMA
from benchmark.config import StudyConfig, parse_config, parse_yaml, read_preset, validate


def load_study(preset: str) -> StudyConfig | AxesConfig:
    """A preset by name, or a YAML file by path. Raises InputError with one line that names the key."""
    text = read_preset(preset)
    data = parse_yaml(text, source=preset)
    return (
        validate(AxesConfig, data, source=preset) if data.get("kind") == "axes" else parse_config(text, source=preset)
    )


def schema_of(folder: Path) -> str | None:
    """What a folder's results.json is; None where there is none."""
    try:
        data = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return str(data.get("schema")) if isinstance(data, dict) else None


def is_axes_folder(folder: Path) -> bool:
    """Whether a folder holds a drift study, by its results or, before there are any, its config."""
    schema = schema_of(folder)
    if schema is not None:
        return schema == AXES_SCHEMA
    try:
        text = (folder / "config.yaml").read_text(encoding="utf-8")
        return parse_yaml(text, source="config.yaml").get("kind") == "axes"
    except (OSError, ValueError):
        return False
