"""Reads, checks and digests configs: presets and YAML files. An error is one line that names the key."""

import difflib
import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import (
    BaseModel,
    ValidationError,
)

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.upgrade import RENAMED_KEYS

Config = TypeVar("Config", bound=BaseModel)


def config_digest(config: BaseModel) -> str:
    text = json.dumps(config.model_dump(mode="json", exclude={"name"}), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def preset_names() -> list[str]:
    folder = resources.files("lrladder.benchmark") / "presets"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def read_preset(preset: str) -> str:
    if preset in preset_names():
        return (resources.files("lrladder.benchmark") / "presets" / f"{preset}.yaml").read_text()
    path = Path(preset)
    if path.suffix not in {".yaml", ".yml"}:
        raise InputError(f"preset {preset!r} is unknown{suggest(preset, preset_names())}; a file must end in .yaml")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{preset}: cannot be read as a config: {error}") from error


def parse_yaml(text: str, *, source: str) -> dict[str, Any]:
    try:
        data: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise InputError(f"{source}: a config is a mapping of keys, this is {type(data).__name__}")
    return data


def validate(model: type[Config], data: dict[str, Any], *, source: str) -> Config:
    """The config in `data`. Raises InputError with one line that names the key."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise InputError(f"{source}: {_explain(error, model)}") from error


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if key in RENAMED_KEYS:
        return f"key {key} is now called {RENAMED_KEYS[key]}: rename it"
    if first["type"] == "extra_forbidden":
        return f"unknown key {key}{suggest(str(first['loc'][-1]), _known_keys(model))}"
    if first["type"] == "missing":
        return f"key {key} is missing"
    message = first["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" if key else message


def _known_keys(model: type[BaseModel]) -> list[str]:
    keys: list[str] = []
    for name, field in model.model_fields.items():
        keys.append(name)
        for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                keys += _known_keys(kind)
    return keys


def suggest(word: str, known: list[str]) -> str:
    """The end of a message that refuses a word: the known word that is most like it, else all known words."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(set(known)))}"
